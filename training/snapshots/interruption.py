"""SIGINT and SIGTERM while a network trains: obeyed at once, or after the step."""

import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from utils import Interrupted, handling

if TYPE_CHECKING:
    from training.snapshots.callback import Snapshot

logger = logging.getLogger(__name__)

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Signal that is to end the training.

    Args:
        all_reduce_max: largest of the numbers that the processes of the run pass at the same place.

    Attributes:
        number: of the signal that has come to this process, or 0.
    """

    def __init__(self, all_reduce_max: Callable[[int], int] = int):
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

        Keras swallows what is raised while it formats the metrics of a step; then ``check`` ends
        the training.
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


@contextmanager
def ending_after_a_step(
    interruption: Interruption, snapshots: "list[Snapshot]", kept: Callable[[], None]
) -> Iterator[None]:
    """Let signals within the ``with`` block end the training after a step, which is kept.

    Without a snapshot nothing could be kept, and signals end the training at once.

    Args:
        interruption: notes the signals.
        snapshots: keep the step.
        kept: called after that.
    """
    if not snapshots:
        with interruption.immediate():
            yield
        return
    with interruption.deferred():
        try:
            yield
        except Interrupted:
            for snapshot in snapshots:
                snapshot.keep()
            kept()
            raise


@contextmanager
def explained(snapshots: "list[Snapshot]") -> Iterator[None]:
    """Tell whoever ends the run within the ``with`` block how to resume it.

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


def _how_to_resume(snapshot: "Snapshot") -> str:
    if not snapshot.group.writes:
        return "the first host has the snapshot, from which the same commands on all hosts go on"
    several = snapshot.group.processes > 1
    again = "the same commands on all hosts go on" if several else "the same command again goes on"
    return f"{snapshot.path} has the run up to {snapshot.saved.place}; {again} from there"
