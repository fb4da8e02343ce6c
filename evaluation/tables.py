"""Tables as aligned text and as CSV files."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from storage.files import replacing


def aligned(header: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> list[str]:
    """Return lines with columns of equal width, ``left`` of which are left-aligned."""
    cells = [list(header), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file, with numbers in full precision and None as an empty cell.

    Bytes of file names that are not UTF-8 are written as ``\\udcff``.
    """
    text = {"newline": "", "encoding": "utf-8", "errors": "backslashreplace"}
    with replacing(path) as temporary, open(temporary, "w", **text) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
