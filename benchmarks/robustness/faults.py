"""What a training run says and does when something goes wrong: each fault made on purpose, once.

A network that trains in a second learns some digits; the faults are real signals, a real full file
system, real locks. Exit status 1: a run lost or replaced something, or did not go on.
"""

import argparse
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # this script may be run from anywhere

from benchmarks.report import add_output_options, recorded
from cli import arguments, console
from utils import UserError

results = logging.getLogger("results")

COMMAND = "--epochs 3 --snapshot s.h5 --weight_dump w.h5 --model_dump m.keras --history h.csv"


class Killed(BaseException):
    """Stand-in for SIGKILL, which nothing in the run's own code handles."""


def build_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = arguments.build_parser(__doc__.splitlines()[0])
    add_output_options(parser)
    return parser


def measure(args: argparse.Namespace) -> None:
    # Shells start programs in the background with SIGINT ignored, which runs respect.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with recorded(args) as report:
        report["faults"] = []
        for name, fault in FAULTS.items():
            with tempfile.TemporaryDirectory(prefix="faults-") as folder, _within(Path(folder)):
                row = {"fault": name, **fault()}
            report["faults"].append(row)
            print(f"| {name} | {row['status']} | {row['said']} | {row['afterwards']} |", flush=True)
    if bad := [row["fault"] for row in report["faults"] if not row["right"]]:
        raise UserError(f"not as it should be: {', '.join(bad)}")


@contextmanager
def _within(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _run(options: str = COMMAND):
    import learn_classifier
    from tests.commands.running import TINY, run

    return run(learn_classifier, f"{TINY} {options}")


def _row(outcome, status: int, right: bool, afterwards: str) -> dict[str, object]:
    last = outcome.err.splitlines()[-1].removeprefix("learn_classifier.py: ")
    fine = outcome.status == status and right
    return {"status": outcome.status, "said": last, "afterwards": afterwards, "right": fine}


def _and_again(outcome, status: int, right: bool = True, options: str = COMMAND) -> dict:
    """Return the row of a fault after which the same command has to reach the same weights."""
    from tests.commands.running import same_arrays

    again = _run(options)
    _run("--epochs 3 --weight_dump whole.h5")
    same = again.status == 0 and same_arrays(Path("w.h5"), Path("whole.h5"))
    text = "the same command again: the weights of a whole run, bit by bit"
    return _row(outcome, status, right and same, text if same else "went wrong")


def _signalled(number: int, status: int) -> Callable[[], dict]:
    def fault() -> dict:
        from training.snapshots.callback import Snapshot

        whole = Snapshot.on_train_batch_end

        def batch_end(self, batch, logs=None):
            if (self.state.epoch, batch) == (1, 1):
                os.kill(os.getpid(), number)
            whole(self, batch, logs)

        with mock.patch.object(Snapshot, "on_train_batch_end", batch_end):
            outcome = _run()
        return _and_again(outcome, status)

    return fault


def _killed_while_saving() -> dict:
    from training import saving

    outcome = None
    with mock.patch.object(saving, "save_weights", side_effect=Killed), suppress(Killed):
        outcome = _run()
    right = outcome is None and Path("m.keras").exists() and not Path("w.h5").exists()
    again = _run()
    return _and_again(again, 0, right) | {
        "said": "killed when the model was saved, not the weights"
    }


def _at_the_end_of_epoch(epoch: int, do: Callable[[], None], options: str):
    from training.callbacks.epoch_log import EpochReporter

    whole = EpochReporter.on_epoch_end

    def epoch_end(self, number, logs=None):
        if number == epoch:
            do()
        whole(self, number, logs)

    with mock.patch.object(EpochReporter, "on_epoch_end", epoch_end):
        return _run(options)


def _full_disk() -> dict:
    disk = Path("disk").absolute()
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        raise UserError("a small file system cannot be mounted here: run this as root")
    try:
        with _within(disk):
            outcome = _at_the_end_of_epoch(1, _fill, COMMAND)
            kept = _epoch() == 1 and not Path("w.h5").exists()
            Path("full").unlink()
            return _and_again(outcome, 1, kept and "Epoch 3/3" in outcome.out)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def _fill() -> None:
    with open("full", "wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass


def _epoch() -> int:
    from training.snapshots.file import read_state

    return read_state(Path("s.h5")).epoch


def _lost_permission() -> dict:
    from tests.permissions import ordinary_user

    Path("own").mkdir()
    for path in (Path.cwd(), Path("own")):
        path.chmod(0o777)
    with ordinary_user():
        Path("own/mine").mkdir()
        with _within(Path("own/mine")):
            outcome = _at_the_end_of_epoch(1, lambda: Path.cwd().chmod(0o555), COMMAND)
            Path.cwd().chmod(0o755)
            return _and_again(outcome, 1, "Epoch 3/3" in outcome.out)


def _refused(change: Callable[[], object], options: str = COMMAND) -> Callable[[], dict]:
    """Damage the snapshot of one epoch; return what the next run says."""

    def fault() -> dict:
        _run("--epochs 1 --snapshot s.h5")
        held = change()
        before = Path("s.h5").read_bytes()
        outcome = _run(options)
        if hasattr(held, "close"):
            held.close()
        kept = Path("s.h5").read_bytes() == before and outcome.out == ""
        text = "the snapshot is as before, nothing was trained" if kept else "went wrong"
        return _row(outcome, outcome.status or -1, kept, text)

    return fault


def _cut() -> None:
    content = Path("s.h5").read_bytes()
    Path("s.h5").write_bytes(content[: len(content) // 2])


def _other_version() -> None:
    import h5py
    import numpy as np

    from storage.seals import seal

    with h5py.File("s.h5", "a") as file:
        state = json.loads(file["run_state"][()])
        state["identity"]["keras"] = "3.0.0"
        del file["run_state"]
        file["run_state"] = np.bytes_(json.dumps(state))
        seal(file)


def _second_run():
    from contextlib import ExitStack

    from storage import outputs

    stack = ExitStack()
    outputs.hold("--snapshot", Path("s.h5"))
    stack.callback(outputs.release)
    return stack


def _nothing() -> None:
    return None


FAULTS: dict[str, Callable[[], dict]] = {
    "SIGTERM in the middle of an epoch": _signalled(signal.SIGTERM, 143),
    "SIGINT in the middle of an epoch": _signalled(signal.SIGINT, 130),
    "killed while results are saved": _killed_while_saving,
    "disk full after the first epoch": _full_disk,
    "permission lost after the first epoch": _lost_permission,
    "snapshot cut in half": _refused(_cut),
    "snapshot of text": _refused(lambda: Path("s.h5").write_text("hello")),
    "snapshot of another Keras": _refused(_other_version),
    "snapshot of another seed": _refused(_nothing, f"{COMMAND} --seed 1"),
    "snapshot of another network": _refused(_nothing, f"{COMMAND} --architecture tiny-wide"),
    "snapshot of other data": _refused(_nothing, f"{COMMAND} --dataset Digits-sub4"),
    "a second run on the same snapshot": _refused(_second_run),
    "somebody's weights in the way": _refused(lambda: Path("w.h5").write_text("theirs")),
}


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return console.run(build_parser(), measure, argv)


if __name__ == "__main__":
    sys.exit(main())
