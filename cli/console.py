"""Run a command: logging, signals, errors as one line and an exit status."""

import argparse
import atexit
import io
import logging
import os
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import NoReturn

from storage import outputs
from training.parallel import supervision
from training.parallel.startup import LOG_LEVEL, import_backend
from utils import Interrupted, UsageError, UserError, handling

logger = logging.getLogger(__name__)

_own_process = False
"""Whether the process is for this one command, see ``end_process``."""
_closed: set[str] = set()
"""Standard streams that were closed when the command began."""


def run(
    parser: argparse.ArgumentParser,
    command: Callable[[argparse.Namespace], object],
    argv: Sequence[str] | None = None,
    backend: bool = True,
    prepare: Callable[[argparse.Namespace], None] | None = None,
    in_child: Callable[[argparse.Namespace], bool] | None = None,
) -> int:
    """Parse the arguments, call the command, and turn failures into one line and an exit status.

    Args:
        parser: of the command; exits the process with status 2 after a wrong argument.
        command: called with the arguments.
        argv: the arguments; those of the process by default.
        backend: whether the command needs Keras, which takes seconds to import.
        prepare: called before the backend looks at the machine's devices.
        in_child: whether to run in a child process, see ``training.parallel.supervision``.

    Returns:
        0; 1 after a failure; 2 after an argument that does not fit; 130 after Ctrl-C, 143 after
        SIGTERM; 141 when whoever read standard output has gone.
    """
    _open_streams()
    argv = sys.argv[1:] if argv is None else list(argv)
    args = parser.parse_args(argv)
    args.command_line = shlex.join(["python", parser.prog, *argv])
    is_child = supervision.is_child()
    if is_child:
        supervision.follow_parent()
    _set_up_logging()

    def work() -> int:
        if in_child and in_child(args) and _own_process and not is_child:
            return supervision.run_in_child(show=LOG_LEVEL in os.environ)
        with handling(signal.SIGTERM, _raise):
            if backend:
                import_backend(partial(prepare, args) if prepare else None, show=is_child)
            command(args)
        return 0

    return _status(parser.prog, work)


def _status(name: str, work: Callable[[], int]) -> int:
    """Return the exit status of what a command does, after its failures have been told."""
    try:
        status = work()
    except UserError as error:
        _tell(f"{name}: error: {error}")
        return error.status
    except KeyboardInterrupt:
        _tell(f"{name}: interrupted")
        return 130
    except Interrupted as interruption:
        _tell(f"{name}: {interruption}")
        return interruption.status
    except BrokenPipeError:
        # Python flushes standard output once more at exit, and would complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    finally:
        outputs.release()
    if status == 0 and (reason := _unwritten()):
        _tell(f"{name}: error: cannot write standard output: {reason}")
        return UserError.status
    return status


def _tell(line: str) -> None:
    """Write to standard error; where that is full, the exit status still tells."""
    with suppress(OSError, ValueError):
        print(line, file=sys.stderr)


def end_process(main: Callable[[], int]) -> NoReturn:
    """Run a command as all that this process is for, and exit with its status.

    By itself Python would end its other threads first. Where a training was broken off, that may
    leave a thread of TensorFlow waiting for a batch, and Python waiting for that thread, forever.
    """
    global _own_process
    _own_process = True
    status: list[int] = []
    # What libraries do at the exit comes before this, since they are imported later.
    atexit.register(_leave, status)
    try:
        status.append(main())
    except Exception:
        sys.excepthook(*sys.exc_info())
        status.append(1)
    sys.exit(status[0])


def _leave(status: list[int]) -> None:
    """Exit at once, if the command has come to its end."""
    if status:
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(status[0])


def _raise(number: int, frame: object) -> None:
    raise Interrupted(number)


class _Handler(logging.StreamHandler):
    """Handler of this command, which ends when the reader of standard output has gone.

    Any other failure to write does not end it: files may be worth the time.

    Attributes:
        failure: why something could not be written, if so.
    """

    failure: str | None = None

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if isinstance(error, BrokenPipeError):
            raise
        if not isinstance(error, OSError):
            super().handleError(record)
        elif self.failure is None:
            self.failure = error.strerror or str(error)
            if self.stream is sys.stdout:
                logger.error("cannot write standard output: %s; going on", self.failure)


def _unwritten() -> str | None:
    """Return the reason why results could not be written, if so."""
    handlers = logging.getLogger("results").handlers
    return next((h.failure for h in handlers if isinstance(h, _Handler) and h.failure), None)


def check_standard_output(instead: str) -> None:
    """Refuse to compute results for a standard output that is closed.

    Raises:
        UsageError: it is closed; give the option ``instead``.
    """
    if "stdout" in _closed:
        raise UsageError(f"standard output is closed: give {instead}")


def _open_streams() -> None:
    """Open streams that a service has closed, since libraries need them."""
    _closed.clear()
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            _closed.add(name)
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
    # What standard output cannot encode is written as \xff, as on standard error.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _set_up_logging() -> None:
    """Send results to standard output, one line each; everything else to standard error."""
    for name, stream in (("", sys.stderr), ("results", sys.stdout)):
        logger = logging.getLogger(name)
        for handler in [h for h in logger.handlers if isinstance(h, _Handler)]:
            logger.removeHandler(handler)
        handler = _Handler(stream)
        handler.setFormatter(logging.Formatter("%(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    logging.getLogger("results").propagate = False
    # TensorFlow's Python side logs through absl, which would repeat itself here.
    logging.getLogger("absl").setLevel(logging.ERROR)
    # Keras imports pandas where it is installed, and that NumExpr, which tells its threads.
    logging.getLogger("numexpr").setLevel(logging.ERROR)
