"""Where does the time until the first training step go? One run, whose parts are timed.

Options are those of ``learn_classifier.py`` after ``--``; the run ends after its third step.
Seconds of computing are those of all threads.
"""

import argparse
import contextlib
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # this script may be run from anywhere

import learn_classifier
from benchmarks.report import add_output_options, recorded
from cli import arguments, console
from utils import STARTED, UserError

results = logging.getLogger("results")


class Done(BaseException):
    """Ends the run after the last step that is timed."""


class Clock:
    """Clock that is read at certain places of a run.

    Attributes:
        marks: name of the part that has just ended, and seconds of wall time and of computing since
            the start of the process.
    """

    def __init__(self):
        self.marks: list[tuple[str, float, float]] = []

    def mark(self, name: str) -> None:
        """End a part here, unless it ended before."""
        if name not in (known for known, *_ in self.marks):
            self.marks.append((name, time.monotonic() - STARTED, time.process_time()))

    def parts(self) -> dict[str, dict[str, float]]:
        """Return the seconds of each part."""
        found, before = {}, (0.0, 0.0)
        for name, *now in self.marks:
            wall, computing = (b - a for a, b in zip(before, now, strict=True))
            found[name] = {"wall": wall, "computing": computing}
            before = now
        return found

    def around(self, function: Callable, before: str | None, after: str | None) -> Callable:
        """Wrap a function with marks before and after each call."""

        def timed(*args, **kwargs):
            if before:
                self.mark(before)
            result = function(*args, **kwargs)
            if after:
                self.mark(after)
            return result

        return timed


@contextlib.contextmanager
def watched(clock: Clock):
    """Time the parts of a command within the ``with`` block, and end it after the third step."""
    with contextlib.ExitStack() as patches:

        def time_part(owner: object, name: str, before: str | None, after: str | None) -> None:
            timed = clock.around(getattr(owner, name), before, after)
            patches.enter_context(mock.patch.object(owner, name, timed))

        imported = clock.around(
            console.import_backend, "Python and options", "import of the backend"
        )

        def import_and_watch(*args, **kwargs) -> None:
            imported(*args, **kwargs)
            import models
            from models import initialization
            from models.layers import network
            from training import loop
            from training.callbacks import epoch_log

            time_part(models, "build_network", "data set", None)
            time_part(initialization, "initialize", None, "building the network")
            time_part(loop, "compile_model", "batches and validation", "optimizer")
            time_part(network.Network, "train_step", "beginning of fit", "tracing the step")
            patches.enter_context(
                mock.patch.object(epoch_log.FirstStep, "on_train_batch_end", step_ended)
            )

        ends = iter(("first step", "second step, to compare"))

        def step_ended(self, batch: int, logs: dict | None = None) -> None:
            if (name := next(ends, None)) is None:
                raise Done
            clock.mark(name)

        patches.enter_context(mock.patch.object(console, "import_backend", import_and_watch))
        yield


def build_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = arguments.build_parser(__doc__.splitlines()[0])
    add_output_options(parser)
    parser.add_argument("options", nargs="+", help="of learn_classifier.py, after --")
    return parser


def measure(args: argparse.Namespace) -> None:
    """Run the command and time its parts.

    Raises:
        UserError: the run ended before its third step.
    """
    clock = Clock()
    with recorded(args) as report:
        try:
            with watched(clock):
                status = learn_classifier.main(args.options)
        except Done:
            report["seconds"] = clock.parts()
        else:
            raise UserError(f"the run ended before its third step, with exit status {status}")
    show(report["seconds"])


def show(parts: dict[str, dict[str, float]]) -> None:
    """Print the table."""
    results.info("| part | seconds | of computing |\n|---|---:|---:|")
    for name, part in parts.items():
        results.info("| %s | %.1f | %.1f |", name, part["wall"], part["computing"])


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return console.run(build_parser(), measure, argv, backend=False)


if __name__ == "__main__":
    sys.exit(main())
