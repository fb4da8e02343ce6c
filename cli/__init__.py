"""The command line: options by topic, errors and signals."""

import sys
from types import TracebackType


def _end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Say in one line that Ctrl-C came while libraries were imported."""
    if issubclass(kind, KeyboardInterrupt):
        sys.stderr.write(f"{sys.argv[0]}: interrupted\n")
    else:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _end
