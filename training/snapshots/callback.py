"""When snapshots are written: after epochs, every few minutes, and when the run is to end."""

import logging
import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import keras

from training.callbacks.epoch_log import EpochReporter
from training.parallel.group import ALONE, Group
from training.snapshots.file import RunState, save_snapshot
from training.snapshots.interruption import Interruption
from utils import Interrupted, UserError

logger = logging.getLogger(__name__)

PLATEAU_STATE = ("best", "wait", "cooldown_counter")


class Snapshot(keras.callbacks.Callback):
    """Writes a snapshot after every epoch, or after those that improve a metric.

    Stands behind the reporter and the schedule in the list of callbacks, whose state it saves.

    Args:
        path: the file.
        start: the state that this training begins with or goes on from.
        reporter: has the figures of the epochs.
        plateau: callback whose waiting is part of the state, or None.
        metric: only an epoch that improves it is kept; losses improve downwards, others upwards.
        minutes: time between snapshots within an epoch; None: only epochs that ended count.
        interruption: what may end the training after a step.
        group: who trains together; one process writes the file.

    Attributes:
        state: where the training stands.
        saved: the state that the file has.
        error: why the last snapshot could not be written, if so.
    """

    def __init__(
        self,
        path: Path,
        start: RunState,
        reporter: EpochReporter,
        plateau: keras.callbacks.ReduceLROnPlateau | None = None,
        metric: str | None = None,
        minutes: float | None = None,
        interruption: Interruption | None = None,
        group: Group = ALONE,
    ):
        super().__init__()
        self.path = path
        self.start = start
        self.reporter = reporter
        self.plateau = plateau
        self.seconds = math.inf if minutes is None else 60 * minutes
        self.interruption = interruption or Interruption()
        self.group = group
        best = start.best if start.metric == metric else None
        self.state = replace(start, metric=metric, best=best)
        self.saved = start
        self.error: UserError | None = None
        self._time = time.monotonic()

    def write(self) -> None:
        """Writes the state as it is.

        Raises:
            UserError: the file cannot be written; what it had before stays.
        """
        if self.group.writes:
            save_snapshot(self.path, self.model, self.state)
        self.saved, self.error = self.state, None
        self._time = time.monotonic()

    def keep(self) -> None:
        """Writes the state unless the file has it; a failure is logged, and kept as ``error``.

        With a metric, the file stays as it is: it has the best epoch.
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
        self.interruption.check()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        earlier = self.state.best
        wanted = self._improves(logs or {})
        plateau = {n: float(getattr(self.plateau, n)) for n in PLATEAU_STATE if self.plateau}
        records = list(self.reporter.records)
        self.state = replace(self.state, epoch=epoch + 1, step=0, records=records, plateau=plateau)
        if wanted and not self._try():
            self.state = replace(self.state, best=earlier)  # the best that the file has
        self.interruption.check()

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
        value = float(logs[metric])
        sign = -1 if "loss" in metric else 1
        if math.isnan(value) or (best is not None and sign * value <= sign * best):
            return False
        self.state = replace(self.state, best=value)
        return True


def plateau_of(
    callbacks: tuple[keras.callbacks.Callback, ...],
) -> keras.callbacks.ReduceLROnPlateau | None:
    """The callback that waits for the validation loss, if there is one."""
    plateaus = [c for c in callbacks if isinstance(c, keras.callbacks.ReduceLROnPlateau)]
    return plateaus[0] if plateaus else None


@contextmanager
def ending_after_a_step(
    interruption: Interruption, snapshots: list[Snapshot], kept: Callable[[], None]
) -> Iterator[None]:
    """Within the ``with`` block, signals end the training after a step, which is kept.

    Without a snapshot nothing could be kept, and signals end it at once.

    Args:
        interruption: is told of the signals.
        snapshots: keep the step.
        kept: called after that.
    """
    if not snapshots:
        with interruption.obeyed():
            yield
        return
    with interruption.awaited():
        try:
            yield
        except Interrupted:
            for snapshot in snapshots:
                snapshot.keep()
            kept()
            raise


@contextmanager
def explained(snapshots: list[Snapshot]) -> Iterator[None]:
    """Tells whoever ends a run how it can go on.

    Raises:
        Interrupted: the block was ended by a signal.
    """
    try:
        yield
    except (KeyboardInterrupt, Interrupted) as end:
        hint = "the training is lost; with --snapshot FILE the same command again would go on"
        for snapshot in snapshots:
            hint = _how_to_go_on(snapshot)
        raise Interrupted(getattr(end, "number", signal.SIGINT), hint) from None


def _how_to_go_on(snapshot: Snapshot) -> str:
    if not snapshot.group.writes:
        return "the first host has the snapshot, from which the same commands on all hosts go on"
    several = snapshot.group.processes > 1
    again = "the same commands on all hosts go on" if several else "the same command again goes on"
    return f"{snapshot.path} has the run up to {snapshot.saved.place}; {again} from there"
