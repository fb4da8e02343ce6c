"""History of a run: a CSV file with the metrics of each epoch."""

import csv
import math
from collections.abc import Container, Mapping, Sequence
from pathlib import Path

from storage.files import replacing
from utils import UserError, read_text


def accuracy_name(metrics: Container[str]) -> str | None:
    """Return the name of the accuracy that counts, preferably that of the classifier."""
    names = ("val_prob_acc", "val_acc", "prob_acc", "acc")
    return next((name for name in names if name in metrics), None)


def write_history(path: Path, records: Sequence[Mapping[str, float]]) -> None:
    """Write the records as CSV, with empty cells for missing values.

    Raises:
        UserError: the file cannot be written.
    """
    names = list(dict.fromkeys(name for record in records for name in record))
    with replacing(path) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(records)


def read_history(path: Path) -> list[dict[str, float]]:
    """Read the metrics of each epoch, with NaN for empty cells; none from an empty file.

    Raises:
        UserError: the file is missing or is not a history.
    """
    text = read_text(path)
    rows = csv.DictReader(text.split("\n"), strict=True)
    try:
        epochs = [{name: float(value or math.nan) for name, value in row.items()} for row in rows]
        # Histories have no header without epochs.
        if bool(epochs) == bool(text) and all(math.isfinite(epoch["epoch"]) for epoch in epochs):
            return epochs
    except (KeyError, TypeError, ValueError, csv.Error):
        pass
    raise UserError(f"{path}: the history is damaged")
