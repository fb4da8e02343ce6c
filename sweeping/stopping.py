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
    """Notes the first signal instead of ending; a second Ctrl-C interrupts as usual.

    Ray sets handlers of its own when it starts, so it has to be started before. A signal that is
    ignored, like Ctrl-C of a script that runs this in the background, stays so.
    """
    request = StopRequest()

    def note(number: int, _) -> None:
        request.signal = number
        if signal.SIGINT in heard:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    heard = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) != signal.SIG_IGN]
    before = {number: signal.signal(number, note) for number in heard}
    try:
        yield request
    finally:
        for number, handler in before.items():
            # None: set by a library, below Python.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
