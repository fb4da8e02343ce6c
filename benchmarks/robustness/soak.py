"""Does a run of many epochs keep its memory, its threads and its open files?

Starts a training command with snapshots, history and logs in a folder of its own, looks at the
process every few seconds, and ends it by SIGTERM when the time is over. Exit status 1: memory after
the warm-up left the allowed range, or there are more threads or open files than before.
"""

import argparse
import logging
import os
import shlex
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # this script may be run from anywhere

from benchmarks.report import add_output_options, recorded
from cli import arguments, console
from cli.arguments import non_negative_float
from utils import UserError

results = logging.getLogger("results")

COMMAND = (
    "learn_image_embeddings.py --dataset Digits-sub10 --repeats 32 --architecture resnet-32 "
    "--embedding onehot --cls_weight 0.1 --batch_size 50 --epochs 1000000 --no_progress "
    "--snapshot snapshot.h5 --snapshot_minutes 1 --history history.csv --log_dir log"
)
# What stands for a part of the time. Threads and files come and go with every validation and every
# file that is written: what is never closed raises the lowest number.
SERIES = {
    "memory_mib": statistics.median,
    "with_libraries_mib": statistics.median,
    "threads": min,
    "files": min,
    "epochs": statistics.median,
}


def build_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = arguments.build_parser(__doc__.splitlines()[0])
    parser.add_argument(
        "--minutes", type=non_negative_float, default=120, metavar="M", help="in all"
    )
    parser.add_argument(
        "--warm_up",
        type=non_negative_float,
        default=10,
        metavar="M",
        help="minutes that do not count",
    )
    parser.add_argument("--every", type=non_negative_float, default=5, metavar="S", help="seconds")
    parser.add_argument(
        "--growth", type=non_negative_float, default=2, metavar="PERCENT", help="allowed, of memory"
    )
    add_output_options(parser)
    parser.add_argument(
        "run", nargs="*", help="a command of this project and its options, after --"
    )
    return parser


def soak(args: argparse.Namespace) -> None:
    script, *options = args.run or shlex.split(COMMAND)
    with recorded(args, indent=None) as report:
        report["run"] = shlex.join(["python", script, *options])
        with tempfile.TemporaryDirectory(prefix="soak-") as folder:
            report |= watch([sys.executable, str(ROOT / script), *options], Path(folder), args)
        report["table"] = summary(report["samples"], args.warm_up * 60)
        show(report)
    check(report["table"], args.growth)


def watch(command: list[str], folder: Path, args: argparse.Namespace) -> dict[str, object]:
    """Run the command in the folder for the given time and sample its process."""
    samples: dict[str, list[float]] = {name: [] for name in ("seconds", *SERIES)}
    started = time.monotonic()
    output = folder / "output"
    with open(output, "wb") as file:
        run = subprocess.Popen(command, cwd=folder, stdout=file, stderr=subprocess.STDOUT)
    try:
        while (now := time.monotonic() - started) < args.minutes * 60 and run.poll() is None:
            for name, value in zip(samples, (now, *_look(run.pid, output)), strict=True):
                samples[name].append(value)
            time.sleep(args.every)
        if run.poll() is not None:
            raise UserError(f"the run ended by itself: {_last_line(output)}")
        run.send_signal(signal.SIGTERM)
        status = run.wait(60)
    finally:
        run.kill()
        run.wait()
    return {"status": status, "last_line": _last_line(output), "samples": samples}


def _look(pid: int, output: Path) -> tuple[float, float, int, int, int]:
    """Return own and resident memory in MiB, threads, open files, and epochs done.

    Memory is what the process has for itself, and then all that is resident: the system drops
    pages of libraries, and reads them again, as it likes.
    """
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().split("\n")[:-1]
    )
    with open(output, "rb") as file:
        epochs = sum(line.startswith(b"Epoch ") for line in file)
    own, swapped, resident = (
        int(status.get(name, "0 kB").split()[0]) / 1024 for name in ("RssAnon", "VmSwap", "VmRSS")
    )
    files = len(os.listdir(f"/proc/{pid}/fd"))
    return own + swapped, resident, int(status["Threads"]), files, epochs


def _last_line(output: Path) -> str:
    return next(reversed(output.read_text(errors="replace").splitlines()), "it said nothing")


def summary(samples: dict[str, list[float]], warm_up: float) -> dict[str, dict[str, float]]:
    """Return first, last, lowest, highest value of each series after the warm-up; growth in %.

    Growth is from first to last, rise from first to highest, range from lowest to highest.

    First and last stand for a tenth of the time each: of threads and files the lowest number, of
    the others the median.

    Args:
        samples: series of the same length, among them ``seconds``.
        warm_up: seconds.

    Raises:
        UserError: the time was too short to say anything.
    """
    counted = [i for i, seconds in enumerate(samples["seconds"]) if seconds >= warm_up]
    if not counted:
        raise UserError("there is no sample after the warm-up: give more --minutes")
    table = {}
    for name, typical in SERIES.items():
        values = [samples[name][i] for i in counted]
        tenth = max(len(values) // 10, 1)
        first, last = typical(values[:tenth]), typical(values[-tenth:])
        table[name] = {"first": first, "last": last, "min": min(values), "max": max(values)}
        if min(values):
            table[name]["growth"] = 100 * (last / first - 1)
            table[name]["rise"] = 100 * (max(values) / first - 1)
            table[name]["range"] = 100 * (max(values) / min(values) - 1)
    return table


def show(report: dict) -> None:
    """Print the table and how the run ended."""
    results.info("| after the warm-up | first | last | lowest | highest | growth | rise | range |")
    results.info("|---|---:|---:|---:|---:|---:|---:|---:|")
    for name, row in report["table"].items():
        values = " | ".join(f"{row[key]:.6g}" for key in ("first", "last", "min", "max"))
        shares = " | ".join(
            f"{row[key]:.2f} %" for key in ("growth", "rise", "range") if key in row
        )
        results.info("| %s | %s | %s |", name, values, shares)
    results.info("exit status %d: %s", report["status"], report["last_line"])


def check(table: dict[str, dict[str, float]], percent: float) -> None:
    """Raise UserError if memory, threads or open files grow.

    Args:
        table: see ``summary``.
        percent: by which memory may grow, and by which its highest value may exceed the lowest.

    Raises:
        UserError: something grew.
    """
    memory = table["memory_mib"]
    if max(memory["growth"], memory["range"]) > percent:
        raise UserError(
            f"memory grew by {memory['growth']:.2f} % and ranged over {memory['range']:.2f} %, "
            f"more than {percent:g} %"
        )
    for name in ("threads", "files"):
        if table[name]["last"] > table[name]["first"]:
            raise UserError(f"there are more {name} at the end than after the warm-up")


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return console.run(build_parser(), soak, argv, backend=False)


if __name__ == "__main__":
    sys.exit(main())
