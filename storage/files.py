"""Files that are written whole or not at all, and checks that they can be written."""

import glob
import hashlib
import logging
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from utils import UsageError, UserError

logger = logging.getLogger(__name__)

PARTIAL = ".partial"
"""Suffix of a file while ``growing`` writes it."""

_RECORD = ".run.json"  # longest suffix of what is written beside a file
_HDF5 = (".h5", ".hdf5", ".keras")
_LONG_NAME = 100  # bytes; some encrypted file systems end at 143, most at 255
_LONG_SUFFIX = 20
_OWN_ENDING = re.compile(r"[0-9]+(\..+)?")  # number of the process and suffix


@contextmanager
def replacing(path: str | Path, suffix: str | None = None) -> Iterator[Path]:
    """Yield a temporary name beside ``path``, and rename it to that when the block succeeds.

    The block should do nothing but write, since every OSError in it is reported as a failure to.

    Args:
        path: the file to write.
        suffix: of the temporary name, by which libraries choose formats; that of ``path`` by
            default.

    Raises:
        UserError: the file cannot be written.
    """
    path = Path(path)
    ending = suffix or (path.suffix if len(os.fsencode(path.suffix)) < _LONG_SUFFIX else "")
    temporary = path.with_name(f"{_hidden(path)}{os.getpid()}{ending}")
    # HDF5 reports a full disk as either of these.
    errors = (OSError, RuntimeError) if temporary.suffix in _HDF5 else (OSError,)
    try:
        with write_errors(path, errors):
            yield temporary
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
            sync_folder(path.parent)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make a new name in the folder survive a power failure, where the system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def leftovers(path: Path) -> list[Path]:
    """List the temporary files that ``replacing`` made for ``path``, in any process."""
    hidden = _hidden(path)
    found = path.parent.glob(f"{glob.escape(hidden)}*")
    # Editors make hidden files with such names too.
    return [other for other in found if _OWN_ENDING.fullmatch(other.name[len(hidden) :])]


def _hidden(path: Path) -> str:
    """Prefix of temporary names, short enough for file systems that limit names."""
    name = os.fsencode(path.name)
    if len(name) <= _LONG_NAME:
        return f".{path.name}."
    return f".{hashlib.sha256(name).hexdigest()[:16]}."


@contextmanager
def growing(path: Path) -> Iterator[TextIO]:
    """Yield a text file for lines that take hours; it becomes ``path`` when the block succeeds.

    Until then it is ``partial_path(path)``, which it replaces. If the block fails after something
    was flushed, it keeps that name, and a warning says so. Errors of the block pass unchanged; it
    puts ``write_errors`` around what writes.

    Raises:
        UserError: the file cannot be written.
    """
    partial = partial_path(path)
    with write_errors(path):
        text = {"encoding": "utf-8", "errors": "backslashreplace", "newline": ""}
        file = open(partial, "w", **text)  # noqa: SIM115
    try:
        yield file
        with write_errors(path):
            file.flush()
            os.fsync(file.fileno())
            file.close()
            os.replace(partial, path)
            sync_folder(path.parent)
    except BaseException:
        with suppress(OSError):
            _keep_or_remove(file, partial)
        raise


def _keep_or_remove(file: TextIO, partial: Path) -> None:
    flushed = partial.stat().st_size
    with suppress(OSError):
        file.close()
    if flushed:
        logger.warning("What was written until then is in %s", partial)
    else:
        partial.unlink()


def partial_path(path: Path) -> Path:
    """Path at which ``growing`` writes before the file is complete."""
    return path.with_name(path.name + PARTIAL)


@contextmanager
def write_errors(
    target: str | Path, errors: tuple[type[Exception], ...] = (OSError,)
) -> Iterator[None]:
    """Turn errors of writing to ``target`` into one line.

    Raises:
        UserError: it cannot be written.
        BrokenPipeError: its reader has gone.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except errors as error:
        raise UserError(f"cannot write {target}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """Message of the system, unwrapped from that of HDF5."""
    text = " ".join(str(error).split())
    wrapped = re.search(r"error message = '([^']+)'", text)
    return wrapped[1] if wrapped else getattr(error, "strerror", None) or text


def check_writable(option: str, path: Path, overwrite: bool) -> None:
    """Refuse an output file before hours of training end in an error.

    Args:
        option: flag that named the file, for the message.
        path: the file.
        overwrite: whether an existing file may be replaced.

    Raises:
        UsageError: the folder is missing or not writable, the file exists or is none, or its name
            is too long.
    """
    if os.path.isdir(path):
        raise UsageError(f"{option} {path}: is a folder, not a file")
    if os.path.exists(path) and not os.path.isfile(path):
        raise UsageError(f"{option} {path}: is a device or a pipe, not a file")
    if os.path.exists(path) and not overwrite:
        raise UsageError(f"{option} {path}: exists already; give --overwrite to replace it")
    check_folder(option, path.parent)
    try:
        os.lstat(path.with_name(path.name + _RECORD))
    except FileNotFoundError:
        pass
    except OSError as error:
        raise UsageError(f"{option} {path}: {error.strerror}") from error


def check_distinct(outputs: Iterable[tuple[str, Path]]) -> None:
    """Refuse two outputs in one file, of which the later would replace the earlier.

    Args:
        outputs: option and path of each file.

    Raises:
        UsageError: two paths are those of the same file.
    """
    seen: dict[str, str] = {}
    for option, path in outputs:
        real = os.path.realpath(path)
        if real in seen:
            raise UsageError(f"{seen[real]} and {option} name the same file, {path}")
        seen[real] = option


def check_folder(option: str, folder: Path) -> None:
    """Refuse a folder in which no file can be created.

    Raises:
        UsageError: it is missing or not writable.
    """
    try:
        # Permissions alone do not tell: root passes them, read-only file systems do not.
        tempfile.TemporaryFile(dir=folder).close()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UsageError(f"{option}: there is no folder {folder} to write to") from error
    except OSError as error:
        raise UsageError(f"{option}: cannot write to {folder}: {error.strerror}") from error
