"""One-line messages for failures that may occur anywhere, even while importing libraries.

The package installs ``show`` before any of its modules imports NumPy.
"""

import sys
from contextlib import suppress
from pathlib import PurePath
from types import TracebackType

_SIGNS = (
    "cannot allocate memory",
    "can't allocate memory",
    "not enough memory",
    "bad_alloc",
    "failed to map segment",
    "can't start new thread",
    "resource_exhausted",
    "bad allocation",
    "out of memory",
    "oom when allocating",
    "unable to allocate",
)
"""Parts of libraries' messages about lack of memory."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error from any library means that memory is exhausted."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(sign in text for sign in _SIGNS)


def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Replace ``sys.excepthook``: show no traceback for Ctrl-C and lack of memory."""
    if isinstance(error, KeyboardInterrupt):
        line = "interrupted"
    elif is_out_of_memory(error):
        line = "error: out of memory"
    else:
        sys.__excepthook__(kind, error, trace)
        return
    with suppress(OSError, ValueError):  # standard error is closed
        print(f"{PurePath(sys.argv[0]).name}: {line}", file=sys.stderr)
