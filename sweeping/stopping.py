"""Being asked to stop: by Ctrl-C, or by SIGTERM as schedulers of clusters send it."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


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
    """Notes the first signal instead of ending; a second Ctrl-C interrupts as usual."""
    request = StopRequest()

    def note(number: int, _) -> None:
        request.signal = number
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
