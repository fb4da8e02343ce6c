"""How long does it take from the command to the end of the first training step?

Starts the real command several times, waits for its line about the first step and ends it.
"""

import argparse
import logging
import re
import signal
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # this script may be run from anywhere

from benchmarks.report import add_output_options, recorded
from cli import arguments, console
from cli.arguments import positive
from utils import UserError

results = logging.getLogger("results")
_TOLD = re.compile(r"First training step done after ([0-9.]+) s")


def build_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = arguments.build_parser(__doc__.splitlines()[0])
    parser.add_argument("--runs", type=positive, default=3, metavar="N", help="one by one")
    add_output_options(parser)
    parser.add_argument("options", nargs="+", help="of learn_classifier.py, after --")
    return parser


def measure(args: argparse.Namespace) -> None:
    with recorded(args) as report:
        report["seconds"] = seconds = [_first_step(args.options) for _ in range(args.runs)]
    told = ", ".join(f"{value:.1f}" for value in seconds)
    results.info("Seconds to the first step: %s (median %.1f)", told, statistics.median(seconds))


def _first_step(options: list[str]) -> float:
    """Return the seconds that one run needed to its first step.

    Raises:
        UserError: it ended before its first step.
    """
    command = [sys.executable, str(ROOT / "learn_classifier.py"), *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as run:
        line = ""
        for line in run.stderr:
            if told := _TOLD.search(line):
                run.send_signal(signal.SIGTERM)
                return float(told[1])
    raise UserError(f"the command ended before its first step: {line.strip()}")


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return console.run(build_parser(), measure, argv, backend=False)


if __name__ == "__main__":
    sys.exit(main())
