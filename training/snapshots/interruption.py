"""SIGINT and SIGTERM during training: they take effect at once, or after the current step."""

import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import keras

from utils import Interrupted, handling

logger = logging.getLogger(__name__)

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption(keras.callbacks.Callback):
    """End the training after a signal; must come last in the list of callbacks.

    Args:
        all_reduce_max: returns the maximum of a number over all processes of the run.

    Attributes:
        number: signal that this process received, or 0.
    """

    def __init__(self, all_reduce_max: Callable[[int], int] = int):
        super().__init__()
        self.number = 0
        self._all_reduce_max = all_reduce_max

    def check(self) -> None:
        """End the training here if any process received a signal.

        Raises:
            Interrupted: a process received a signal.
        """
        if number := self._all_reduce_max(self.number):
            if not self.number:
                logger.error("Another host received a signal to end")
            raise Interrupted(number)

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self.check()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.check()

    @contextmanager
    def after_a_step(self, keep: Callable[[], None]) -> Iterator[None]:
        """Make signals end the training after a step; then call ``keep`` to save its state."""
        with self.deferred():
            try:
                yield
            except Interrupted:
                keep()
                raise

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Defer the first signal within the ``with`` block until ``check``; a second one kills.

        The second one has the system's default action, since a Python handler would have to wait
        for long operations of the backend.
        """
        with handling(signal.SIGINT, self._keep), handling(signal.SIGTERM, self._keep):
            yield
        if self.number:  # the signal came after the last check
            signal.raise_signal(self.number)

    @contextmanager
    def immediate(self) -> Iterator[None]:
        """Make a signal end the training immediately within the ``with`` block.

        Keras swallows exceptions raised while it formats the metrics of a step
        (https://github.com/keras-team/keras/pull/22485); then ``check`` ends the training.
        """
        with handling(signal.SIGINT, self._end), handling(signal.SIGTERM, self._end):
            yield

    def _end(self, number: int, frame: object) -> None:
        self.number = number
        raise Interrupted(number)

    def _keep(self, number: int, frame: object) -> None:
        self.number = number
        for each in SIGNALS:
            if signal.getsignal(each) == self._keep:
                signal.signal(each, signal.SIG_DFL)
        # Not an error, but hosts other than the first one only show errors.
        logger.error("Ending after this step; the same signal again ends at once")
