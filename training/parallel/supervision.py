"""A process that runs the command in a child, and says in one line why a library aborted that.

JAX ends a process whose peer was lost by ``abort()``, after twenty lines on standard error
(https://github.com/openxla/xla/pull/38624); no Python code of that process can act then. The child
therefore sends what libraries write below Python through a pipe to its parent, and on the same way
tells it in advance which error each of their messages stands for.
"""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress

from utils import UsageError, UserError, handling

_PIPE = "COSINE_LOSS_PIPE_TO_PARENT"
_MARK = "explain aborts: "
_LINES = 200  # that are kept of what libraries wrote

_child = False

Meaning = tuple[str, UserError]
"""A regular expression, and the error that is meant where it is found."""


def is_child() -> bool:
    """Return whether ``run_in_child`` started this process, which then has to ``follow_parent``."""
    return _PIPE in os.environ


def run_in_child(show: bool) -> int:
    """Run the command of this process once more, in a child; return its exit status.

    SIGINT and SIGTERM go on to the child, which has a session of its own, so that they reach it
    once. It is killed if this process is. ``show`` passes on what libraries write to standard
    error.

    Raises:
        UserError: a library aborted the child, for a reason that ``explain_aborts`` names.
    """
    read, write = os.pipe()
    child = subprocess.Popen(
        [sys.executable, *sys.orig_argv[1:]],
        stdin=subprocess.PIPE,  # the system closes it with this process
        pass_fds=[write],
        env=os.environ | {_PIPE: str(write)},
        start_new_session=True,
    )
    os.close(write)

    def forward(number: int, frame: object) -> None:
        child.send_signal(number)

    with (
        handling(signal.SIGINT, forward),
        handling(signal.SIGTERM, forward),
        child,
        open(read, errors="replace") as lines,
    ):
        meanings, text = _listen(lines, show)
        status = child.wait()
    if status == -signal.SIGABRT:
        for pattern, message, status in meanings:
            if re.search(pattern, text, re.DOTALL):
                raise (UsageError if status == UsageError.status else UserError)(message)
    return status if status >= 0 else 128 - status


def _listen(lines: Iterable[str], show: bool) -> tuple[list, str]:
    """Return the last explanation of aborts, and the end of what libraries wrote."""
    meanings, text = [], deque(maxlen=_LINES)
    for line in lines:
        if line.startswith(_MARK):
            with suppress(ValueError):  # another thread wrote in between
                meanings = json.loads(line[len(_MARK) :])
            continue
        text.append(line)
        if show:
            sys.stderr.write(line)
    return meanings, "".join(text)


def follow_parent() -> None:
    """Send what is written below Python to the parent, and end with it; call this first.

    Python keeps standard output and error for itself.
    """
    global _child
    _child = True
    pipe = int(os.environ.pop(_PIPE))
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        stream.flush()
        kept = os.fdopen(
            os.dup(descriptor), "w", buffering=1, encoding=stream.encoding, errors=stream.errors
        )
        setattr(sys, name, kept)
        os.dup2(pipe, descriptor)
    os.close(pipe)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGKILL)


def explain_aborts(meanings: Sequence[Meaning]) -> None:
    """Tell the parent, if there is one, what to say if a library aborts this process.

    The first meaning whose pattern is found counts; an empty pattern always is.
    """
    if _child:
        told = [(pattern, str(error), error.status) for pattern, error in meanings]
        os.write(2, f"\n{_MARK}{json.dumps(told)}\n".encode())
