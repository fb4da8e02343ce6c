"""What one GPU does with this project, in eight minutes: steps, epochs, a training, as one JSON.

Three parts, one after the other, under JAX:

- steps of resnet-110-wfc in batches of 100 and of ResNet-50 at 448 pixels in batches of 96, both in
  bfloat16, in turns with plain PyTorch, which compiles them too (``torch.compile``);
- epochs of the real command and the steps alone: the rest of the time the GPU is idle;
- CIFAR-100, 50 images per class, for as many epochs as fit into the time that is left.

A part that cannot be measured is left out, with the reason in the file. ``--tiny`` runs the same
with a small network on the bundled digits, to try the script on a CPU.
"""

import argparse
import contextlib
import json
import logging
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # this script may be run from anywhere

from benchmarks.report import add_output_options, recorded
from benchmarks.train_step import CONTESTANTS, Case, Worker
from cli import arguments, console
from cli.arguments import positive_float, user_path
from storage.history import accuracy_name, read_history

results = logging.getLogger("results")
logger = logging.getLogger(__name__)

JAX, PYTORCH = "jax", "PyTorch-compile"
_KEPT = 20.0  # seconds at the end, to write the report
_ENVIRONMENT = {
    "KERAS_BACKEND": "jax",
    # Several processes take turns on one GPU.
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
}


@dataclass(frozen=True)
class Size:
    """What is measured.

    Attributes:
        cases: networks of the steps.
        precision: ``--mixed_precision``, or None.
        data: options of data set and network of the epochs.
        training: the same, and the rest, of the training.
        rounds: number of rounds of steps, and of epochs.
        steps: per round.
    """

    cases: tuple[Case, ...]
    precision: str | None
    data: str
    training: str
    rounds: int
    steps: int


_CIFAR = "--architecture resnet-110-wfc --batch_size 100 --mixed_precision bfloat16"
FULL = Size(
    (Case("resnet-110-wfc", 32, 100), Case("resnet-50", 448, 96)),
    "bfloat16",
    f"--dataset CIFAR-100 {_CIFAR}",
    f"--dataset CIFAR-100-sub50 {_CIFAR} --embedding onehot --cls_weight 0.1 --sgdr_max_lr 0.1",
    rounds=4,
    steps=20,
)
_DIGITS = "--dataset Digits-sub5 --architecture simple --batch_size 25 --repeats 1"
TINY = Size(
    (Case("resnet-32", 32, 4),), None, _DIGITS, f"{_DIGITS} --embedding onehot", rounds=2, steps=2
)


class Clock:
    """Time that is left of the whole measurement."""

    def __init__(self, minutes: float):
        self.end = time.monotonic() + 60 * minutes - _KEPT

    def left(self) -> float:
        """Return the seconds left; 0 or less: none."""
        return self.end - time.monotonic()


def build_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = arguments.build_parser(__doc__.splitlines()[0])
    add = parser.add_argument
    add("--data_root", type=user_path, metavar="DIR", help="folder of CIFAR-100")
    add("--minutes", type=positive_float, default=8.0, help="for everything")
    add("--tiny", action="store_true", help="a small network on the bundled digits, for CPUs")
    add("--torch_python", type=user_path, metavar="PYTHON", help="the Python that has PyTorch")
    add_output_options(parser)
    return parser


def measure(args: argparse.Namespace) -> None:
    """Measure all parts and write the report."""
    clock, size = Clock(args.minutes), TINY if args.tiny else FULL
    data = ["--data_root", str(args.data_root)] if args.data_root else []
    with recorded(args) as report:
        report["gpus"] = _gpus()
        report["steps"] = steps(size, args.torch_python, clock)
        report["epochs"] = epochs(size, data, clock)
        report["training"] = training(size, data, clock)
        report["load_at_end"] = os.getloadavg()


def _gpus() -> list[str]:
    """Return the names of the GPUs; none without NVIDIA's tool."""
    command = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
        return done.stdout.splitlines()
    return []


def steps(size: Size, torch_python: Path | None, clock: Clock) -> dict[str, dict]:
    """Time training steps of both libraries in turns, by network and library.

    All processes start at the same time, since each compiles for a minute or more.
    """
    keys = [(case, name) for case in size.cases for name in (JAX, PYTORCH)]
    found: dict[str, dict] = {case.architecture: {} for case in size.cases}
    with ThreadPoolExecutor(len(keys)) as threads, contextlib.ExitStack() as stack:
        workers = {}
        for case, name in keys:
            python = torch_python if name == PYTORCH else None
            workers[case, name] = worker = _worker(case, name, size, python)
            stack.callback(worker.close)
        begun = {key: threads.submit(worker.begin) for key, worker in workers.items()}
        for (case, name), future in begun.items():
            if reason := _reason(future, workers[case, name], clock):
                found[case.architecture][name] = {"left_out": reason}
                del workers[case, name]
        for case, name in size.rounds * keys:
            try:
                if (case, name) in workers:
                    workers[case, name].train(size.steps)
            except EOFError as error:  # out of memory, say: the others are worth their time
                reason = f"{error}: {workers.pop((case, name)).last_words()}"
                found[case.architecture][name] = {"left_out": reason}
    for (case, name), worker in workers.items():
        found[case.architecture][name] = _speed(case, worker, size.steps)
    for case in size.cases:
        _add_ratio(found[case.architecture])
        results.info("%s: %s", case.architecture, json.dumps(found[case.architecture]))
    return found


def _worker(case: Case, name: str, size: Size, python: Path | None) -> Worker:
    contestant = CONTESTANTS[name]
    settings = case._asdict() | contestant._asdict() | {"mixed_precision": size.precision}
    return Worker(settings, contestant, python or Path(sys.executable), _ENVIRONMENT)


def _reason(begun, worker: Worker, clock: Clock) -> str | None:
    """Return why a process has not made its first step; None if it has."""
    try:
        begun.result(timeout=max(clock.left(), 0))
    except TimeoutError:
        worker.process.kill()
        return "no time left"
    except EOFError as error:
        return f"{error}: {worker.last_words()}"
    return None


def _speed(case: Case, worker: Worker, count: int) -> dict[str, object]:
    seconds = [turn["wall"] / count for turn in worker.turns]
    return {
        "images_per_second": case.batch_size / statistics.median(seconds),
        "seconds_per_step": seconds,
        "first_step_seconds": worker.started["first_step"],
        "versions": worker.started["versions"],
    }


def _add_ratio(libraries: dict[str, dict]) -> None:
    """Add how fast JAX is relative to PyTorch: the median over rounds."""
    ours, theirs = (libraries[name].get("seconds_per_step") for name in (JAX, PYTORCH))
    if ours and theirs:
        ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
        libraries[JAX]["to_pytorch"] = statistics.median(ratios)


def epochs(size: Size, data: Sequence[str], clock: Clock) -> dict[str, object]:
    """Time epochs of the command and of its steps alone; the share of idle time between."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "epochs.json")
        command = [str(ROOT / "benchmarks" / "end_to_end.py"), "--rounds", str(size.rounds)]
        command += ["--output", str(output), "--", *size.data.split(), *data]
        if reason := run_for(command, clock.left()):
            return {"left_out": reason}
        found = json.loads(output.read_text())
    shares = [1 - share for share in found["shares"]]
    results.info("idle in an epoch: %.1f %%", 100 * statistics.median(shares))
    return {"idle_share": statistics.median(shares), "seconds": found["seconds"]}


def training(size: Size, data: Sequence[str], clock: Clock) -> dict[str, object]:
    """Train until the time is over; return what the finished epochs reached."""
    with tempfile.TemporaryDirectory() as folder:
        history = Path(folder, "history.csv")
        command = [str(ROOT / "learn_image_embeddings.py"), *size.training.split(), *data]
        reason = run_for([*command, "--history", str(history)], clock.left())
        if not history.exists():
            return {"left_out": reason or "no epoch was finished"}
        epochs = read_history(history)
    name = accuracy_name(epochs[0])
    accuracies = [epoch[name] for epoch in epochs]
    best = max(range(len(epochs)), key=accuracies.__getitem__)
    results.info("%d epochs, best accuracy %.4f", len(epochs), accuracies[best])
    reached = {"best_accuracy": accuracies[best], "best_epoch": best + 1, "ended": reason}
    return {"command": size.training, "epochs": len(epochs), **reached, "accuracies": accuracies}


def run_for(command: Sequence[str], seconds: float) -> str | None:
    """Run a Python script; end it when its time is over.

    Returns:
        Why it did not end by itself with success; None if it did.
    """
    if seconds <= 0:
        return "no time left"
    process = subprocess.Popen(
        [sys.executable, *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | _ENVIRONMENT,
    )
    try:
        _, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=_KEPT / 2)
        process.kill()
        process.communicate()
        return f"ended after {seconds:.0f} s"
    if process.returncode:
        *_, last = errors.strip().splitlines() or ["no message"]
        return f"exit status {process.returncode}: {last}"
    return None


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return console.run(build_parser(), measure, argv, backend=False)


if __name__ == "__main__":
    sys.exit(main())
