"""A training in a process of its own, whose progress is read from its history."""

import math
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from storage.history import read_history
from utils import UserError

_SCRIPT = Path(__file__).parents[1] / "trial_process.py"
_GRACE = 60  # seconds to save the state in when it is stopped
_POLL = 0.2  # seconds


class TrainingProcess:
    """A training that is started once its history has no more epochs, and resumes its snapshot.

    Args:
        command: script and arguments, with a history in ``folder``.
        folder: for ``history.csv`` and ``log.txt``, which is continued.
        environment: additional variables.
    """

    def __init__(self, command: Sequence[str], folder: Path, environment: Mapping[str, str]):
        self.folder = folder
        self._command = command
        self._environment = environment
        self._process: subprocess.Popen | None = None

    def accuracy(self, epoch: int) -> float | None:
        """Wait for an epoch, from 1, to end, and return the accuracy after it.

        None if the process ended before; 0 if the training diverged.
        """
        while True:
            ended = self._process is not None and self._process.poll() is not None
            accuracies = read_accuracies(self.folder / "history.csv")
            if len(accuracies) >= epoch:
                return accuracies[epoch - 1]
            if ended:
                return None
            if self._process is None:
                self._start()
            time.sleep(_POLL)

    def wait(self) -> bool:
        """Wait for the process to end, if it was started, and return whether it succeeded."""
        return self._process is None or self._process.wait() == 0

    def stop(self) -> None:
        """End the process, which saves its state first."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.stdin.close()
        try:
            self._process.wait(_GRACE + 5)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def _start(self) -> None:
        lock = str(self.folder / ".lock")
        with open(self.folder / "log.txt", "ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(_SCRIPT), str(_GRACE), lock, *self._command],
                stdin=subprocess.PIPE,  # the system closes it with this process
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | self._environment,
                start_new_session=True,  # Ctrl-C on the terminal is for the search only
            )


def read_accuracies(history: Path) -> list[float]:
    """Return the validation accuracy after each epoch; 0 for values that are not finite.

    Empty if there is no history.
    """
    try:
        epochs = read_history(history)
    except UserError:
        return []
    name = next((n for n in ("val_prob_acc", "val_acc") if epochs and n in epochs[0]), None)
    values = [epoch[name] for epoch in epochs] if name else []
    return [value if math.isfinite(value) else 0.0 for value in values]
