"""Requests to stop a sweep: Ctrl-C, or SIGTERM, which cluster schedulers send."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from utils import handling


class StopRequest:
    """Request to stop by a signal, if there was one.

    Attributes:
        signal: its number, or None.
    """

    def __init__(self):
        self.signal: int | None = None

    def __call__(self) -> bool:
        return self.signal is not None


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Note the first signal within the ``with`` block; a second Ctrl-C interrupts as usual.

    Start Ray first, since ``ray.init`` installs its own SIGTERM handler. Ignored signals, such as
    SIGINT in background scripts, stay ignored.
    """
    request = StopRequest()

    def note(number: int, frame: object) -> None:
        request.signal = number
        if signal.getsignal(signal.SIGINT) == note:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    with handling(signal.SIGINT, note), handling(signal.SIGTERM, note):
        yield request
