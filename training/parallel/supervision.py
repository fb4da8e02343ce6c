"""Running the command in a child process, in order to explain in one line why a library aborted it.

If a peer is lost, JAX prints twenty lines to standard error and calls ``abort()``
(https://github.com/openxla/xla/pull/38624), so no Python code of that process can react. Therefore
the child sends everything that libraries print through a pipe to its parent, and in the same way
tells the parent in advance which error each message means.
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
_LINES = 200  # lines to keep of what libraries wrote

_child = False

Meaning = tuple[str, UserError]
"""A regular expression for the libraries' output, and the error that a match means."""


def is_child() -> bool:
    """Return whether ``run_in_child`` started this process; if so, call ``follow_parent``."""
    return _PIPE in os.environ


def run_in_child(show: bool) -> int:
    """Run the command of this process again in a child; return its exit status.

    SIGINT and SIGTERM are forwarded to the child, which has its own session so that each signal
    reaches it only once. If this process is killed, so is the child. ``show`` forwards what
    libraries write to standard error.

    Raises:
        UserError: a library aborted the child, for a reason that ``explain_aborts`` names.
    """
    read, write = os.pipe()
    child = subprocess.Popen(
        [sys.executable, *sys.orig_argv[1:]],
        stdin=subprocess.PIPE,  # closed by the system when this process ends
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
    """Return the last explanation of aborts, and the last lines that libraries wrote."""
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
    """Redirect the output of libraries to the parent, and end when the parent does.

    Call this first. Python's own standard output and error are not redirected.
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
    """Tell the parent, if there is one, which error to report if a library aborts this process.

    The first matching pattern counts; an empty one always matches.
    """
    if _child:
        messages = [(pattern, str(error), error.status) for pattern, error in meanings]
        os.write(2, f"\n{_MARK}{json.dumps(messages)}\n".encode())
