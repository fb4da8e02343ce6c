"""Summarize finished runs in one HTML file: learning curves, accuracy, worst mistakes.

The file is self-contained. If a run saved its network with --model_dump, the report also shows the
accuracy of each class, the confusion matrix and the worst mistakes; this reads the test images.
"""

import argparse
import importlib
import io
import logging
import shlex
from collections.abc import Sequence
from contextlib import redirect_stderr
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from cli import arguments, console
from cli.arguments import non_negative_int, user_path
from cli.data_options import open_dataset
from reporting.runs import Run, read_run
from storage.outputs import claim_all
from storage.records import read_record, record_path
from utils import UserError

if TYPE_CHECKING:
    from reporting.predictions import Predictions

logger = logging.getLogger(__name__)
results = logging.getLogger("results")

MISTAKES = 24
COMMANDS = ("learn_classifier.py", "learn_image_embeddings.py")


def build_parser() -> argparse.ArgumentParser:
    """Build the argument parser."""
    parser = arguments.build_parser(__doc__)
    add = parser.add_argument
    add(
        "runs",
        nargs="+",
        type=user_path,
        metavar="RUN",
        help="file written by --history, with its record next to it, or a folder with history.csv",
    )
    add("--out", type=user_path, default=Path("report.html"), help="page to write")
    add("--title", default="Report", help="title of the page")
    add("--mistakes", type=non_negative_int, default=MISTAKES, help="misclassified images to show")
    add("--overwrite", action="store_true", help="replace existing files")
    return parser


def report(args: argparse.Namespace) -> None:
    """Read the runs and write the page."""
    from reporting.page import Page, write_page

    claim_all((("--out", args.out), ("--out", record_path(args.out))), args.overwrite)
    runs = {path: read_run(path) for path in args.runs}
    commands = [(f"Train {run.name}", run.command) for run in runs.values()]
    page = Page(args.title, [*runs.values()], [*commands, ("Write this page", args.command_line)])
    for run in page.runs:
        try:
            page.predictions[run.history] = predictions(run, args.mistakes)
        except UserError as error:
            logger.warning("%s: %s; the report shows no test images of it", run.name, error)
    write_page(args.out, page, vars(args))
    results.info("%s", args.out)


def predictions(run: Run, mistakes: int = MISTAKES) -> "Predictions":
    """Classify the test images of a run with its network.

    Raises:
        UserError: the network was not saved or has been replaced, or it or an image cannot be read.
    """
    from reporting.predictions import predict

    args = options_of(run)
    if args.model_dump is None:
        raise UserError("its network was not saved (--model_dump)")
    if read_record(record_path(args.model_dump)).get("run", run.identity) != run.identity:
        raise UserError(f"{args.model_dump} has been replaced by another run")
    return predict(args.model_dump, open_dataset(args), args.batch_size, mistakes)


def options_of(run: Run) -> argparse.Namespace:
    """Parse the command line in a run's record with the parser of its command.

    Raises:
        UserError: the record has no command line of a training.
    """
    try:
        _, script, *argv = shlex.split(run.command)
        script = PurePath(script).name
        if script not in COMMANDS:
            raise ValueError
        parser = importlib.import_module(script.removesuffix(".py")).build_parser()
        with redirect_stderr(io.StringIO()):
            return parser.parse_args(argv)
    except (ValueError, SystemExit) as error:
        raise UserError("its record has no valid command line of a training") from error


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return console.run(build_parser(), report, argv)


if __name__ == "__main__":
    console.end_process(main)
