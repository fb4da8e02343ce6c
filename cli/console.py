"""Run a command: logging, signals, one-line errors and the exit status."""

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
from utils import Interrupted, UserError, handling

logger = logging.getLogger(__name__)

_own_process = False
"""Whether this process runs only this command, see ``end_process``."""


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
        parser: the command's parser, which exits with status 2 if an argument is wrong.
        command: function of the parsed arguments.
        argv: the arguments; None: those of the process.
        backend: whether the command needs Keras, which takes seconds to import.
        prepare: called before the backend initializes its devices.
        in_child: whether to run in a child process, see ``training.parallel.supervision``.

    Returns:
        0 for success, 1 for a failure, 2 for wrong arguments, 130 after Ctrl-C, 143 after SIGTERM,
        141 if the reader of standard output has gone.
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


def run_with_options(
    parser: argparse.ArgumentParser,
    command: Callable[[argparse.Namespace], object],
    argv: Sequence[str] | None = None,
) -> int:
    """Run a command that starts trainings: arguments after ``--`` are their ``options``."""
    argv = sys.argv[1:] if argv is None else list(argv)
    end = argv.index("--") if "--" in argv else len(argv)
    parser.set_defaults(options=argv[end + 1 :])
    return run(parser, command, argv[:end], backend=False)


def _status(name: str, work: Callable[[], int]) -> int:
    """Do the work of a command, report its failure, and return the exit status."""
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
        # Otherwise Python's last flush of standard output at exit would fail, too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    finally:
        outputs.release()
    if status == 0 and (reason := _unwritten()):
        _tell(f"{name}: error: cannot write standard output: {reason}")
        return UserError.status
    return status


def _tell(line: str) -> None:
    """Write to standard error; if that fails, the exit status must suffice."""
    with suppress(OSError, ValueError):
        print(line, file=sys.stderr)


def end_process(main: Callable[[], int]) -> NoReturn:
    """Run a command as the only purpose of this process, and exit with its status.

    A normal exit of Python waits for its other threads. After an aborted training, a TensorFlow
    thread may be waiting for a batch forever; no issue is known.
    """
    global _own_process
    _own_process = True
    status: list[int] = []
    # Exit handlers run in reverse order, so those of libraries, imported later, precede this one.
    atexit.register(_leave, status)
    try:
        status.append(main())
    except Exception:
        sys.excepthook(*sys.exc_info())
        status.append(1)
    sys.exit(status[0])


def _leave(status: list[int]) -> None:
    """Exit immediately if the command has finished."""
    if status:
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(status[0])


def _raise(number: int, frame: object) -> None:
    raise Interrupted(number)


class _Handler(logging.StreamHandler):
    """Log handler that ends the command only if the reader of standard output has gone.

    After other write errors the command continues, since its files may still be useful.

    Attributes:
        failure: why a message could not be written, or None.
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
                logger.error("cannot write standard output: %s; continuing", self.failure)


def _unwritten() -> str | None:
    """Return why results could not be written, or None."""
    handlers = logging.getLogger("results").handlers
    return next((h.failure for h in handlers if isinstance(h, _Handler) and h.failure), None)


def _open_streams() -> None:
    """Open closed standard streams, as of a service, since libraries need them."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
    # Characters that cannot be encoded are written as escapes, as on standard error.
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
    # TensorFlow's Python code logs through absl, whose messages would appear twice.
    logging.getLogger("absl").setLevel(logging.ERROR)
    # Keras imports pandas if installed, which imports NumExpr, which logs its number of threads.
    logging.getLogger("numexpr").setLevel(logging.ERROR)
