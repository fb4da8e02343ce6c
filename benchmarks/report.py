"""The file that a benchmark leaves: its options, how it begins, and when it is written."""

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.machine import describe
from storage.files import replacing
from storage.outputs import claim
from storage.records import versions
from training.parallel.startup import backend_name


def add_output_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the report."""
    parser.add_argument("--output", type=Path, metavar="FILE", help="all measurements, .json")
    parser.add_argument("--overwrite", action="store_true", help="replace the file if it exists")


@contextmanager
def recorded(args: argparse.Namespace, indent: int | None = 2) -> Iterator[dict[str, object]]:
    """Yield a report to fill, and write it when the ``with`` block succeeds.

    It begins with where, when, by what command and with which versions it was made.

    Args:
        args: parsed options, including those of ``add_output_options``.
        indent: indentation of the file; None: all on one line.

    Raises:
        UserError: the file exists, or cannot be written, which is found out at the start.
    """
    if args.output:
        claim("--output", args.output, args.overwrite)
    report = describe(args.command_line)
    report["versions"] = {"backend": backend_name(), **versions()}
    yield report
    if args.output:
        with replacing(args.output) as temporary:
            text = json.dumps(report, indent=indent, ensure_ascii=False)
            temporary.write_text(f"{text}\n", encoding="utf-8")
