"""The callback that writes snapshots."""

import math
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import keras

from training.callbacks.epoch_log import EpochReporter
from training.callbacks.failures import survived
from training.parallel.group import ALONE, Group
from training.snapshots.file import PLATEAU_STATE, RunState, save_snapshot
from utils import Interrupted, UserError


class Snapshot(keras.callbacks.Callback):
    """Write a snapshot after every epoch, or after those that improve a metric.

    Must come after the reporter and the schedule, whose state it saves, in the list of callbacks.

    Args:
        path: the file.
        start: state at the beginning of this training.
        reporter: has the metrics of all epochs.
        schedule: the learning-rate schedule; the state of ``ReduceLROnPlateau`` is saved, too.
        metric: save only epochs that improve this metric (lower losses, higher other values);
            epochs without it are not saved.
        minutes: time between snapshots within an epoch; None: only after epochs.
        group: processes that train together; the first one writes the file.
        copies: further variables to save.

    Attributes:
        state: the current state of the training.
        saved: the state in the file.
        error: why the last snapshot could not be written, or None.
    """

    def __init__(
        self,
        path: Path,
        start: RunState,
        reporter: EpochReporter,
        schedule: keras.callbacks.Callback | None = None,
        metric: str | None = None,
        minutes: float | None = None,
        group: Group = ALONE,
        copies: Sequence[keras.Variable] = (),
    ):
        super().__init__()
        self.path = path
        self.start = start
        self.reporter = reporter
        waits = isinstance(schedule, keras.callbacks.ReduceLROnPlateau)
        self.plateau = schedule if waits else None
        self.seconds = math.inf if minutes is None else 60 * minutes
        self.group = group
        self.copies = copies
        best = start.best if start.metric == metric else None
        self.state = replace(start, metric=metric, best=best)
        self.saved = start
        self.error: UserError | None = None
        self._time = time.monotonic()

    def write(self) -> None:
        """Write the current state.

        Raises:
            UserError: the file cannot be written; the previous one is kept.
        """
        if self.group.writes:
            save_snapshot(self.path, self.model, self.state, self.copies)
        self.saved = self.state

    def keep(self) -> None:
        """Write the current state unless the file has it; log failures and set ``error``.

        With a metric, this does nothing: the file has the best epoch.
        """
        if self.state.metric is None and self.state != self.saved:
            with survived(self, note=""):
                self.write()

    def on_train_begin(self, logs: dict | None = None) -> None:
        # Keras resets the plateau's state when training begins, so it is restored here.
        if self.plateau:
            for name, value in self.state.plateau.items():
                setattr(self.plateau, name, value)
        self._time = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        first = self.start.step if self.state.epoch == self.start.epoch else 0
        # With several steps per execution, Keras may report too many for the last one.
        step = min(first + batch + 1, self.params["steps"])
        self.state = replace(self.state, step=step)
        if time.monotonic() - self._time >= self.seconds:
            self._try()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        earlier = self.state.best
        wanted = self._improves(logs or {})
        plateau = {n: float(getattr(self.plateau, n)) for n in PLATEAU_STATE if self.plateau}
        records = list(self.reporter.records)
        self.state = replace(self.state, epoch=epoch + 1, step=0, records=records, plateau=plateau)
        if wanted and not self._try():
            self.state = replace(self.state, best=earlier)  # the file still has this one

    def _try(self) -> bool:
        with survived(self):
            self.write()
        self._time = time.monotonic()  # after a failure, too: do not try again in every step
        return self.error is None

    def _improves(self, logs: dict) -> bool:
        metric, best = self.state.metric, self.state.best
        if metric is None:
            return True
        value = float(logs.get(metric, math.nan))  # not every epoch is evaluated
        sign = -1 if "loss" in metric else 1
        if math.isnan(value) or (best is not None and sign * value <= sign * best):
            return False
        self.state = replace(self.state, best=value)
        return True


@contextmanager
def explained(snapshot: Snapshot | None) -> Iterator[None]:
    """Say how to resume when a signal ends the run within the ``with`` block.

    Raises:
        Interrupted: the block was ended by a signal.
    """
    try:
        yield
    except (KeyboardInterrupt, Interrupted) as end:
        raise Interrupted(getattr(end, "number", signal.SIGINT), _how_to_resume(snapshot)) from None


def _how_to_resume(snapshot: Snapshot | None) -> str:
    if snapshot is None:
        return "the training is lost; with --snapshot FILE, repeating the command would resume it"
    if not snapshot.group.writes:
        return "the first host has the snapshot; repeat the commands on all hosts to resume"
    several = snapshot.group.processes > 1
    again = "the commands on all hosts" if several else "the command"
    return f"{snapshot.path} has the run up to {snapshot.saved.progress}; repeat {again} to resume"
