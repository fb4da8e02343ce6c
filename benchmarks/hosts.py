"""Do several processes train the network that one trains, and what happens when one is lost?

Trains with one process, with two and with four on this machine, for as many steps on the same
batches, and compares weights and figures; so with a network of the project, and with some without
batch normalization, see ``convolutions.py``. Then two processes are started again, one of them is
killed or terminated after some epochs, and the same two commands go on from the snapshot.
"""

import argparse
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import h5py
import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # this script may be run from anywhere

from benchmarks.report import add_output_options, recorded
from cli import arguments, console
from storage.history import read_history

results = logging.getLogger("results")

# Five steps on 100 images in each of four epochs, whose gradients are clipped.
COMMAND = (
    "-m benchmarks.command learn_classifier --dataset Digits-sub10 --repeats 1 --batch_size 20 "
    "--epochs 4 --sgdr_max_lr 0.01 --clipgrad 0.5 --device_type cpu --no_progress --lost_timeout 10"
)
STEPS = 20
PLAIN = ("relu-float32", "elu-float32", "relu-float64")
"""Networks that are compared besides that of ``--architecture``."""
SIGNALLED_AFTER = 2  # epochs
SIGNALS = ((signal.SIGKILL, 1), (signal.SIGKILL, 0), (signal.SIGTERM, 1), (signal.SIGTERM, 0))
"""What is sent, and to which process."""


class Run:
    """Processes that train one network, and their files.

    Args:
        folder: gets the files of the first one.
        architecture: name of the network.
        hosts: how many processes.
        more: further options.
    """

    def __init__(self, folder: Path, architecture: str, hosts: int, *more: object):
        folder.mkdir(exist_ok=True)
        self.folder = folder
        address = f"127.0.0.1:{free_port()}"
        double = architecture.endswith("float64")
        # That of the loss too, which no option sets.
        (folder / "keras.json").write_text(json.dumps({"floatx": f"float{32 << double}"}))
        environment = {"KERAS_HOME": str(folder), "JAX_ENABLE_X64": str(double)}
        command = [*COMMAND.split(), "--architecture", architecture, *map(str, more)]
        for name in ("history.csv", "weight_dump.weights.h5"):
            command += [f"--{name.split('.')[0]}", str(folder / name)]
        group = ["--hosts", str(hosts), "--coordinator", address] if hosts > 1 else []
        self.processes = [
            subprocess.Popen(
                [sys.executable, *command, *group, *(["--host_rank", str(rank)] if group else [])],
                cwd=ROOT,
                env=os.environ | environment | {"KERAS_BACKEND": "jax"},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for rank in range(hosts)
        ]
        self.times: list[float] = []

    def follow(self, epochs: int | None = None) -> None:
        """Read the output of the first process until so many epochs are done, or to its end."""
        for line in self.processes[0].stdout:
            if re.match(r"Epoch \d+/", line):
                self.times.append(time.perf_counter())
                if len(self.times) == epochs:
                    return

    def finish(self) -> None:
        """Wait for all processes to succeed."""
        self.follow()
        for process in self.processes:
            _, err = process.communicate()
            if process.returncode:
                raise SystemExit(err)

    def weights(self) -> dict[str, np.ndarray]:
        """Return all arrays of floats in the file of weights, by name."""
        found = {}

        def keep(name: str, item: h5py.Dataset | h5py.Group) -> None:
            if isinstance(item, h5py.Dataset) and item.dtype.kind == "f":
                found[name] = item[()]

        with h5py.File(self.folder / "weight_dump.weights.h5") as file:
            file.visititems(keep)
        return found

    def figures(self) -> np.ndarray:
        """Return losses and accuracies after every epoch."""
        epochs = read_history(self.folder / "history.csv")
        return np.array([list(epoch.values()) for epoch in epochs])


def free_port() -> int:
    """Return a free port."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def difference(one: Run, other: Run) -> float:
    """Return the largest absolute difference of any weight."""
    first, second = one.weights(), other.weights()
    return max(float(np.abs(first[name] - second[name]).max()) for name in first)


def compare(folder: Path, architecture: str, counts: Sequence[int]) -> tuple[list[dict], Run]:
    """Return the rows of the first table, and the run of two processes."""
    runs, rows = {}, []
    folder.mkdir()
    for hosts in counts:
        run = runs[hosts] = Run(folder / str(hosts), architecture, hosts)
        run.finish()
        alone = runs[counts[0]]
        row = {
            "network": architecture,
            "processes": hosts,
            "weight difference": difference(alone, run),
            "figure difference": float(np.abs(alone.figures() - run.figures()).max()),
            "seconds per epoch": float(np.median(np.diff(run.times))),
        }
        rows.append(row)
        results.info("| %s | %d | %.1e | %.1e | %.2f |", *row.values())
    return rows, runs[2]


def interrupt(
    folder: Path, architecture: str, whole: Run, sent: signal.Signals, victim: int
) -> dict[str, object]:
    """Send a signal to one of two processes, then start both again; return how they ended."""
    target = folder / f"{sent.name}{victim}"
    snapshot = target.with_suffix(".snapshot")
    run = Run(target, architecture, 2, "--snapshot", snapshot)
    run.follow(SIGNALLED_AFTER)
    run.processes[victim].send_signal(sent)
    start = time.perf_counter()
    other = run.processes[1 - victim]
    _, err = other.communicate()
    seconds = time.perf_counter() - start
    run.processes[victim].communicate()
    statuses = [process.returncode for process in run.processes]
    again = Run(target, architecture, 2, "--snapshot", snapshot)
    again.finish()
    row = {
        "signal": sent.name,
        "to host": victim,
        "the other says": err.splitlines()[-1].replace(f"{folder}/", ""),
        "exit statuses": ", ".join(map(str, statuses)),
        "after seconds": seconds,
        "epochs after the second start": len(again.times),
        "weight difference to the uninterrupted run": difference(whole, again),
    }
    results.info("| %s | %d | %s | %s | %.1f | %d | %.1e |", *row.values())
    return row


def build_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = arguments.build_parser(__doc__.splitlines()[0])
    parser.add_argument("--architecture", default="simple", metavar="NAME", help="of the network")
    add_output_options(parser)
    return parser


def measure(args: argparse.Namespace) -> None:
    with recorded(args) as report, TemporaryDirectory() as name:
        report["trained by"] = COMMAND
        folder = Path(name)
        results.info(
            "| network | processes | largest weight difference after %d steps | largest difference "
            "of a figure | seconds per epoch |\n|---|---:|---:|---:|---:|",
            STEPS,
        )
        networks = (*PLAIN, args.architecture)
        compared = {name: compare(folder / name, name, (1, 2, 4)) for name in networks}
        report["compared"] = [row for rows, _ in compared.values() for row in rows]
        _, whole = compared[args.architecture]
        results.info(
            "\n| signal | to host | the other says | exit statuses | after seconds | epochs after "
            "the second start | largest weight difference to the uninterrupted run |\n|---|---:|---"
            "|---:|---:|---:|---:|"
        )
        report["interrupted"] = [
            interrupt(folder, args.architecture, whole, *each) for each in SIGNALS
        ]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return console.run(build_parser(), measure, argv, backend=False)


if __name__ == "__main__":
    sys.exit(main())
