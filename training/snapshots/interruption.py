"""SIGINT and SIGTERM while a network trains: obeyed at once, or after the step."""

import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import keras

from utils import Interrupted, handling

logger = logging.getLogger(__name__)

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption(keras.callbacks.Callback):
    """Signal that is to end the training; comes last in the list of callbacks.

    Args:
        all_reduce_max: largest of the numbers that the processes of the run pass at the same place.

    Attributes:
        number: of the signal that has come to this process, or 0.
    """

    def __init__(self, all_reduce_max: Callable[[int], int] = int):
        super().__init__()
        self.number = 0
        self._all_reduce_max = all_reduce_max

    def check(self) -> None:
        """End the training here if a signal has come to any process.

        Raises:
            Interrupted: it has.
        """
        if number := self._all_reduce_max(self.number):
            if not self.number:
                logger.error("Another host was told to end")
            raise Interrupted(number)

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self.check()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.check()

    @contextmanager
    def after_a_step(self, keep: Callable[[], None]) -> Iterator[None]:
        """Let signals within the ``with`` block end the training after a step, and keep that."""
        with self.deferred():
            try:
                yield
            except Interrupted:
                keep()
                raise

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Keep the first signal within the ``with`` block for ``check``; a second one kills.

        The kernel kills, since Python would let a long operation of the backend end first.
        """
        with handling(signal.SIGINT, self._keep), handling(signal.SIGTERM, self._keep):
            yield
        if self.number:  # it came after the last check
            signal.raise_signal(self.number)

    @contextmanager
    def immediate(self) -> Iterator[None]:
        """Let a signal within the ``with`` block end the training where it is.

        Keras swallows what is raised while it formats the metrics of a step
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
        # No error, but hosts other than the first one show nothing else.
        logger.error("Ending after this step; the same signal again ends at once")
