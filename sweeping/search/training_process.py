"""A training in a process of its own, whose progress is read from its history."""

import math
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from storage.history import accuracy_name, read_history
from sweeping.processes import start, stop
from utils import UserError

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
        if self._process is not None and self._process.poll() is None:
            stop(self._process)

    def _start(self) -> None:
        with open(self.folder / "log.txt", "ab") as log:
            self._process = start(self._command, self.folder, log, self._environment)


def read_accuracies(history: Path) -> list[float]:
    """Return the validation accuracy after each epoch; 0 for values that are not finite.

    Empty if there is no history.
    """
    try:
        epochs = read_history(history)
    except UserError:
        return []
    name = accuracy_name(epochs[0]) if epochs else None
    values = [epoch[name] for epoch in epochs] if name else []
    return [value if math.isfinite(value) else 0.0 for value in values]
