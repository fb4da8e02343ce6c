"""Failures that may come anywhere, also while libraries are imported, as one line.

The package installs ``show`` before any of its modules imports NumPy.
"""

import sys
from contextlib import suppress
from pathlib import PurePath
from types import TracebackType

_SIGNS = (
    *("cannot allocate memory", "can't allocate memory", "not enough memory", "bad_alloc"),
    *("failed to map segment", "can't start new thread", "resource_exhausted", "bad allocation"),
    *("out of memory", "oom when allocating", "unable to allocate"),
)
"""Messages of libraries about lack of memory."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error, of whatever library, tells of a lack of memory."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(sign in text for sign in _SIGNS)


def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Take the place of ``sys.excepthook``: no traceback for Ctrl-C and for lack of memory."""
    if isinstance(error, KeyboardInterrupt):
        line = "interrupted"
    elif is_out_of_memory(error):
        line = "error: out of memory"
    else:
        sys.__excepthook__(kind, error, trace)
        return
    with suppress(OSError, ValueError):  # nobody can read it
        print(f"{PurePath(sys.argv[0]).name}: {line}", file=sys.stderr)
