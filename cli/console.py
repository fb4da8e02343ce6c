"""How a command ends: logging, the quiet start of the backend, errors to one line and a status."""

import argparse
import atexit
import io
import json
import logging
import os
import shlex
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import NoReturn

from ahead import Ahead
from training.parallel.allocation import keep_freed_memory
from training.parallel.hiding import UNNEEDED, hidden
from utils import Interrupted, UsageError, UserError, handling

logger = logging.getLogger(__name__)

LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"


def run(
    parser: argparse.ArgumentParser,
    command: Callable[..., object],
    argv: Sequence[str] | None = None,
    backend: bool = True,
    prepare: Callable[[argparse.Namespace], None] | None = None,
    read: Callable[[argparse.Namespace], object] | None = None,
    apart: Callable[[argparse.Namespace], bool] | None = None,
) -> int:
    """Parses, does the command's work, and turns failures into one line and an exit status.

    Args:
        parser: of the command; exits the process with status 2 after a wrong argument.
        command: does the work; takes the arguments and, if it is given, a stand-in for ``read``.
        argv: the arguments; those of the process by default.
        backend: whether the command needs Keras, which takes seconds to import.
        prepare: what has to happen before the backend looks at the machine's devices.
        read: work that is begun meanwhile; it must not need Keras.
        apart: whether what libraries write below Python goes to a file of its own.

    Returns:
        0; 1 after a failure; 2 after an argument that does not fit; 130 after Ctrl-C, 143 after
        SIGTERM; 141 when whoever read standard output has gone.
    """
    _open_streams()
    _show_all_characters()
    argv = sys.argv[1:] if argv is None else list(argv)
    args = parser.parse_args(argv)
    args.command_line = shlex.join(["python", parser.prog, *argv])
    set_apart = apart is not None and apart(args) and LOG_LEVEL not in os.environ
    if set_apart:
        _set_libraries_apart()
    _set_up_logging()
    early = [Ahead(read, args)] if read else []
    try:
        with handling(signal.SIGTERM, _raise):
            if backend:
                meanwhile = [work.start for work in early]
                import_backend(partial(prepare, args) if prepare else None, meanwhile, set_apart)
            command(args, *early)
    except UserError as error:
        print(f"{parser.prog}: error: {error}", file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        print(f"{parser.prog}: interrupted", file=sys.stderr)
        return 130
    except Interrupted as interruption:
        print(f"{parser.prog}: {interruption}", file=sys.stderr)
        return interruption.status
    except BrokenPipeError:
        # Python flushes standard output once more at exit, and would complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    if reason := _unwritten():
        print(f"{parser.prog}: error: cannot write standard output: {reason}", file=sys.stderr)
        return UserError.status
    return 0


def end_process(main: Callable[[], int]) -> NoReturn:
    """Runs a command as all that this process is for, and ends the process with its exit status.

    By itself Python would end its other threads first. Where a training was broken off, that may
    leave a thread of TensorFlow waiting for a batch, and Python waiting for that thread, for ever.

    Args:
        main: of the command.
    """
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
    """Ends the process at once, if the command has come to its end."""
    if status:
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(status[0])


def _raise(number: int, frame: object) -> None:
    raise Interrupted(number)


def _show_all_characters() -> None:
    """Writes what standard output has no letters for as ``\\xff``, as standard error does."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def import_backend(
    prepare: Callable[[], None] | None = None,
    meanwhile: Sequence[Callable[[], None]] = (),
    heard: bool = False,
) -> None:
    """Imports Keras without what TensorFlow's libraries say about processors and missing GPUs.

    Setting ``TF_CPP_MIN_LOG_LEVEL`` brings all of it back. TensorFlow is told to use the kernels of
    oneDNN, which it does by itself on processors with AVX-512 only; convolutions are much faster
    with them on others too. ``TF_ENABLE_ONEDNN_OPTS=0`` keeps them out. Freed memory is kept, see
    ``allocation``.

    Args:
        prepare: called before the backend looks at the machine's devices.
        meanwhile: called first; begin work in other threads, to which the libraries of
            ``hiding.UNNEEDED`` seem to be missing until the import is done.
        heard: whether what the libraries say is kept.

    Raises:
        UsageError: the backend that ``KERAS_BACKEND`` names cannot be used.
    """
    keep_freed_memory()
    heard = heard or LOG_LEVEL in os.environ
    os.environ.setdefault(LOG_LEVEL, "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    backend = backend_name()
    try:
        with nullcontext() if heard else _silenced(), hidden(UNNEEDED - {backend}):
            for begin in meanwhile:
                begin()
            from training.parallel import devices

            if prepare:
                prepare()
            devices.count("gpu")
    except (ImportError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"the Keras backend {backend!r} cannot be used: {reason}") from error


def backend_name() -> str:
    """The name of the backend that Keras will take: of the variable, else of its own file."""
    folder = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser()
    try:
        stored = json.loads((folder / "keras.json").read_text())["backend"]
    except (OSError, ValueError, KeyError, TypeError):
        stored = "tensorflow"
    return os.environ.get("KERAS_BACKEND") or stored


def _set_libraries_apart() -> None:
    """Has Python keep standard output and error for itself, to the end of the process.

    What libraries write below Python goes to a file, which can be read through descriptor 2.
    """
    file = tempfile.TemporaryFile("a+b", buffering=0)  # noqa: SIM115
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        stream.flush()
        kept = os.fdopen(
            os.dup(descriptor), "w", buffering=1, encoding=stream.encoding, errors=stream.errors
        )
        setattr(sys, name, kept)
        os.dup2(file.fileno(), descriptor)


@contextmanager
def _silenced() -> Iterator[None]:
    """Drops what is written to the file descriptor of standard error, below Python."""
    try:
        saved = os.dup(2)
    except OSError:  # standard error is closed anyway
        yield
        return
    try:
        with open(os.devnull, "w") as null:
            os.dup2(null.fileno(), 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


class _Handler(logging.StreamHandler):
    """Of this command; a reader of standard output who has gone ends it.

    What cannot be written for another reason does not: files may be worth the time.

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
    """Why some of the results could not be written, if so."""
    handlers = logging.getLogger("results").handlers
    return next((h.failure for h in handlers if isinstance(h, _Handler) and h.failure), None)


def _open_streams() -> None:
    """Services may have closed them, and libraries take for granted that they are there."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115


def _set_up_logging() -> None:
    """Results go to standard output, one line each; everything else to standard error."""
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
