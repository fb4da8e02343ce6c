"""Does a run that is killed again and again end with the weights of one that is not?

For each backend the same command runs once without interruption, and once killed by SIGKILL at
random moments and started again after each. Exit status 1: a weight, an optimizer's value or a line
of the history differs.
"""

import argparse
import json
import logging
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # this script may be run from anywhere

from benchmarks.report import add_output_options, recorded
from cli import arguments, console
from cli.arguments import positive, seed
from storage.temporary import leftovers
from utils import UserError, generator

results = logging.getLogger("results")

COMMAND = (
    "learn_image_embeddings.py --dataset Digits-sub10 --repeats 2 --architecture simple "
    "--embedding onehot --cls_weight 0.1 --batch_size 25 --epochs 6 --sgdr_base_len 2 "
    "--max_decay 0.1 --no_progress"
)
OUTPUTS = (
    "--snapshot snapshot.h5 --snapshot_minutes 0.01 --weight_dump weights.h5 "
    "--model_dump model.keras --history history.csv --log_dir log"
)


def build_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = arguments.build_parser(__doc__.splitlines()[0])
    parser.add_argument("--kills", type=positive, default=10, metavar="N", help="of each run")
    parser.add_argument(
        "--backends", nargs="+", default=["tensorflow", "jax"], metavar="NAME", help="of Keras"
    )
    parser.add_argument("--seed", type=seed, default=0, metavar="N", help="of the moments")
    add_output_options(parser)
    parser.add_argument(
        "run",
        nargs="*",
        help="a command of this project and its options but for those of output, after --",
    )
    return parser


def measure(args: argparse.Namespace) -> None:
    script, *options = args.run or shlex.split(COMMAND)
    command = [script, *options, *shlex.split(OUTPUTS)]
    with recorded(args) as report:
        report |= {"run": shlex.join(["python", *command]), "seed": args.seed, "backends": {}}
        results.info("| backend | kill | after | snapshot then | last said |")
        results.info("|---|---:|---:|---|---|")
        for backend in args.backends:
            with tempfile.TemporaryDirectory(prefix="kills-") as folder:
                found = compare(backend, command, Path(folder), args.kills, args.seed)
            report["backends"][backend] = found
        show(report["backends"])
    if any(
        found["different"] or found["history"] != "same" for found in report["backends"].values()
    ):
        raise UserError("killed runs ended otherwise than the whole ones")


def show(backends: dict[str, dict]) -> None:
    """Print the table of all backends."""
    results.info("\n| backend | kills | arrays | that differ | largest difference | history |")
    results.info("|---|---:|---:|---:|---:|---|")
    for backend, found in backends.items():
        shown = ("arrays", "different", "difference", "history")
        cells = " | ".join(str(found[name]) for name in shown)
        results.info("| %s | %d | %s |", backend, len(found["kills"]), cells)


def compare(
    backend: str, command: list[str], folder: Path, kills: int, seed: int
) -> dict[str, object]:
    """Return the differences of both runs, and where the second one was killed."""
    whole, killed = folder / "whole", folder / "killed"
    seconds = _whole(backend, command, whole)
    rng = generator("kills", seed)
    done = []
    for number in range(kills):
        # Most kills while it trains, some while it starts.
        start = number % 5 == 4
        delay = rng.uniform(0, seconds["start"] if start else 1.3 * seconds["training"] / kills)
        done.append(_kill(backend, command, killed, delay, start))
        results.info(
            "| %s | %d | %.1f s of %s | %s | %s |",
            backend,
            number + 1,
            delay,
            "the start" if start else "training",
            done[-1]["snapshot"],
            done[-1]["last_line"][:60],
        )
    _finish(backend, command, killed)
    left = [str(p) for name in os.listdir(killed) for p in leftovers(killed / name)]
    if left:
        raise UserError(f"temporary files were left: {left}")
    return {"kills": done, **_differences(whole, killed), "whole_run_seconds": seconds}


@contextmanager
def _started(backend: str, command: list[str], folder: Path) -> Iterator[subprocess.Popen]:
    """Yield the run as a process, which does not outlive the ``with`` block."""
    folder.mkdir(exist_ok=True)
    environment = os.environ | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    with open(folder / "output.txt", "ab") as output:
        run = subprocess.Popen(
            [sys.executable, *_script(command[0]), *command[1:]],
            cwd=folder,
            env=environment | {"PYTHONPATH": str(ROOT)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield run
    finally:
        run.kill()
        run.wait()


def _script(name: str) -> list[str]:
    """Return Python's arguments for a command of this project: a file, or a module of the tests."""
    return [str(ROOT / name)] if name.endswith(".py") else ["-m", name]


def _whole(backend: str, command: list[str], folder: Path) -> dict[str, float]:
    began = time.monotonic()
    with _started(backend, command, folder) as run:
        _wait_for_first_step(run, folder, 0)
        start = time.monotonic() - began
        if run.wait():
            raise UserError(f"the whole run failed: {_last_line(folder)}")
    return {"start": start, "training": time.monotonic() - began - start}


def _finish(backend: str, command: list[str], folder: Path) -> None:
    with _started(backend, command, folder) as run:
        if run.wait():
            raise UserError(f"the run did not go on: {_last_line(folder)}")


def _wait_for_first_step(run: subprocess.Popen, folder: Path, offset: int) -> None:
    output = folder / "output.txt"
    while run.poll() is None and b"First training step" not in output.read_bytes()[offset:]:
        time.sleep(0.02)


def _kill(
    backend: str, command: list[str], folder: Path, delay: float, start: bool
) -> dict[str, object]:
    """Start the run and kill it so many seconds after its start or after its first step."""
    output = folder / "output.txt"
    offset = output.stat().st_size if output.exists() else 0
    with _started(backend, command, folder) as run:
        if not start:
            _wait_for_first_step(run, folder, offset)
        with suppress(subprocess.TimeoutExpired):
            run.wait(delay)
    status = run.returncode
    if status not in (0, -signal.SIGKILL):
        raise UserError(f"the run did not go on: {_last_line(folder)}")
    writing = bool(leftovers(folder / "snapshot.h5"))
    place = _place(folder / "snapshot.h5") + (", writing the next" if writing else "")
    ended = " (had ended)" if status == 0 else ""
    return {"delay": delay, "status": status, "snapshot": place + ended} | {
        "last_line": _last_line(folder)
    }


def _place(snapshot: Path) -> str:
    import h5py

    if not snapshot.exists():
        return "none"
    with h5py.File(snapshot) as file:
        state = json.loads(file["run_state"][()])
    return f"epoch {state['epoch']}, step {state['step']}"


def _last_line(folder: Path) -> str:
    lines = (folder / "output.txt").read_text(errors="replace").splitlines()
    return lines[-1] if lines else "nothing"


def _differences(whole: Path, killed: Path) -> dict[str, object]:
    """Compare all arrays in snapshots (weights, optimizer) and weight files, and the histories."""
    arrays, different, largest = 0, 0, 0.0
    for name in ("snapshot.h5", "weights.h5"):
        one, other = _arrays(whole / name), _arrays(killed / name)
        if one.keys() != other.keys():
            raise UserError(f"{name} has other arrays after the kills")
        arrays += len(one)
        for key, value in one.items():
            different += value.tobytes() != other[key].tobytes()
            gap = np.abs(value.astype(np.float64) - other[key].astype(np.float64))
            largest = max(largest, float(gap.max(initial=0)))
    same = (whole / "history.csv").read_bytes() == (killed / "history.csv").read_bytes()
    history = "same" if same else "differs"
    return {"arrays": arrays, "different": different, "difference": largest, "history": history}


def _arrays(path: Path) -> dict[str, np.ndarray]:
    import h5py

    found = {}

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype.kind in "fiu":
            found[name] = item[()]

    with h5py.File(path) as file:
        file.visititems(visit)
    return found


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return console.run(build_parser(), measure, argv, backend=False)


if __name__ == "__main__":
    sys.exit(main())
