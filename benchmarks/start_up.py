"""How long does it take from the command to the end of the first training step?

Starts the real command several times, waits for its line about the first step and ends it. With
``--pairs`` under JAX, each run has a partner before it that finds no compiled code.
"""

import argparse
import logging
import os
import re
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
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
    parser.add_argument(
        "--pairs",
        action="store_true",
        help="under JAX: N pairs, of a first run, which compiles, and a second one",
    )
    add_output_options(parser)
    parser.add_argument("options", nargs="+", help="of learn_classifier.py, after --")
    return parser


def measure(args: argparse.Namespace) -> None:
    with recorded(args) as report:
        if args.pairs:
            pairs = [_pair(args.options) for _ in range(args.runs)]
            report["first_runs"], report["second_runs"] = map(list, zip(*pairs, strict=True))
            for name in ("first_runs", "second_runs"):
                for kind in ("seconds", "computing"):
                    _tell(f"{name.replace('_', ' ')}, {kind}", [run[kind] for run in report[name]])
        else:
            report["seconds"] = [_first_step(args.options) for _ in range(args.runs)]
            _tell("Seconds to the first step", report["seconds"])
        report["load_at_end"] = os.getloadavg()


def _tell(what: str, seconds: list[float]) -> None:
    told = ", ".join(f"{value:.1f}" for value in seconds)
    results.info("%s: %s (median %.1f)", what, told, statistics.median(seconds))


def _pair(options: list[str]) -> tuple[dict[str, float], dict[str, float]]:
    """Return the seconds of a run that finds no compiled code, and of the same run after it.

    Seconds of computing, of the whole process, depend less on what else the machine does.
    """

    def measured() -> dict[str, float]:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = _first_step(options, environment)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return {"seconds": seconds, "computing": used}

    with tempfile.TemporaryDirectory() as folder:
        environment = {
            "JAX_COMPILATION_CACHE_DIR": folder,
            "JAX_ENABLE_COMPILATION_CACHE": "1",
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2",
        }
        return measured(), measured()


def _first_step(options: list[str], environment: Mapping[str, str] | None = None) -> float:
    """Return the seconds that one run needed to its first step.

    Raises:
        UserError: it ended before its first step.
    """
    command = [sys.executable, str(ROOT / "learn_classifier.py"), *options]
    env = os.environ | (environment or {})
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env) as run:
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
