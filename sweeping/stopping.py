"""Being asked to stop: by Ctrl-C, or by SIGTERM as schedulers of clusters send it."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from utils import handling


class StopRequest:
    """Whether somebody has asked; true once that has happened.

    Attributes:
        signal: its number, or None.
    """

    def __init__(self):
        self.signal: int | None = None

    def __call__(self) -> bool:
        return self.signal is not None


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Notes the first signal instead of ending; a second Ctrl-C interrupts as usual.

    Ray sets handlers of its own when it starts, so it has to be started before. A signal that is
    ignored, like Ctrl-C of a script that runs this in the background, stays so.
    """
    request = StopRequest()

    def note(number: int, frame: object) -> None:
        request.signal = number
        if signal.getsignal(signal.SIGINT) == note:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    with handling(signal.SIGINT, note), handling(signal.SIGTERM, note):
        yield request
