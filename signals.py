"""Handlers of signals that last for a block of code."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def handling(number: int, handler: Callable[[int, object], None]) -> Iterator[None]:
    """Handles a signal within the ``with`` block; afterwards it means what it meant before.

    Only the main thread can do so; in others, and where the process was started to ignore the
    signal, nothing changes.
    """
    before = signal.getsignal(number)
    if threading.current_thread() is not threading.main_thread() or before in (
        signal.SIG_IGN,
        None,  # not Python's: nobody could restore it
    ):
        yield
        return
    signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)
