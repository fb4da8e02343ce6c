"""SIGINT and SIGTERM while a network trains: obeyed at once, or after the step."""

import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from utils import Interrupted, handling

logger = logging.getLogger(__name__)

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Whether somebody wants the training to end.

    Args:
        shared: makes the number that this process has the one on which all processes of the run
            act; they all call it at the same places.

    Attributes:
        number: of the signal that has come to this process, or 0.
    """

    def __init__(self, shared: Callable[[int], int] = int):
        self.number = 0
        self._shared = shared

    def check(self) -> None:
        """Called wherever the training may end.

        Raises:
            Interrupted: a signal has come.
        """
        if number := self._shared(self.number):
            if not self.number:
                logger.error("Another host was told to end")
            raise Interrupted(number)

    @contextmanager
    def awaited(self) -> Iterator[None]:
        """Within the ``with`` block the first signal is kept for ``check``; a second one kills.

        The kernel kills, since Python would let a long operation of the backend end first.
        """
        with handling(signal.SIGINT, self._keep), handling(signal.SIGTERM, self._keep):
            yield
        if self.number:  # it came after the last check
            signal.raise_signal(self.number)

    @contextmanager
    def obeyed(self) -> Iterator[None]:
        """Within the ``with`` block a signal ends the training where it is.

        Keras passes over whatever is raised while it looks at the figures of a step; then
        ``check`` ends the training.
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
