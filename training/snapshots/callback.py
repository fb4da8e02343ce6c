"""The callback that writes snapshots."""

import logging
import math
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import keras

from training.callbacks.epoch_log import EpochReporter
from training.parallel.group import ALONE, Group
from training.snapshots.file import PLATEAU_STATE, RunState, save_snapshot
from utils import Interrupted, UserError

logger = logging.getLogger(__name__)


class Snapshot(keras.callbacks.Callback):
    """Write a snapshot after every epoch, or after those that improve a metric.

    It follows the reporter and the schedule in the list of callbacks, whose state it saves.

    Args:
        path: the file.
        start: state at the begin of this training.
        reporter: has the metrics of all epochs.
        schedule: of the learning rate; of ``ReduceLROnPlateau``, the state is saved too.
        metric: name; only epochs that improve it are saved, losses downwards, others upwards;
            never those that it was not measured for.
        minutes: time between snapshots within an epoch; None: only after epochs.
        group: processes that train together; the first one writes the file.
        copies: further variables of the run that the file has.

    Attributes:
        state: of the training now.
        saved: state in the file.
        error: failure to write the last snapshot, or None.
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
        """Write the state as it is.

        Raises:
            UserError: the file cannot be written; the one before stays.
        """
        if self.group.writes:
            save_snapshot(self.path, self.model, self.state, self.copies)
        self.saved, self.error = self.state, None
        self._time = time.monotonic()

    def keep(self) -> None:
        """Write the state unless the file has it; log a failure, and keep it as ``error``.

        With a metric, the file is left alone: it has the best epoch.
        """
        if self.state.metric is None and self.state != self.saved:
            self._try("%s")

    def on_train_begin(self, logs: dict | None = None) -> None:
        # Keras resets the plateau's state when training begins, so it is restored here.
        if self.plateau:
            for name, value in self.state.plateau.items():
                setattr(self.plateau, name, value)
        self._time = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        first = self.start.step if self.state.epoch == self.start.epoch else 0
        # The last execution of several steps may have fewer than Keras says.
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
            self.state = replace(self.state, best=earlier)  # the best that the file has

    def _try(self, message: str = "%s; training goes on") -> bool:
        try:
            self.write()
            return True
        except UserError as error:
            # The weights in memory are worth more than a file: go on and try again next time.
            logger.error(message, error)
            self.error = error
            self._time = time.monotonic()
            return False

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
def explained(snapshots: Sequence[Snapshot]) -> Iterator[None]:
    """Say how to resume when a signal ends the run within the ``with`` block.

    Raises:
        Interrupted: the block was ended by a signal.
    """
    try:
        yield
    except (KeyboardInterrupt, Interrupted) as end:
        hint = "the training is lost; with --snapshot FILE the same command again would go on"
        for snapshot in snapshots:
            hint = _how_to_resume(snapshot)
        raise Interrupted(getattr(end, "number", signal.SIGINT), hint) from None


def _how_to_resume(snapshot: Snapshot) -> str:
    if not snapshot.group.writes:
        return "the first host has the snapshot, from which the same commands on all hosts go on"
    several = snapshot.group.processes > 1
    again = "the same commands on all hosts go on" if several else "the same command again goes on"
    return f"{snapshot.path} has the run up to {snapshot.saved.place}; {again} from there"
