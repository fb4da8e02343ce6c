"""Atomic writing: files are complete or absent."""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from storage.outputs import discard, place
from storage.temporary import temporary_folder
from utils import UserError, one_line

logger = logging.getLogger(__name__)

_HDF5 = (".h5", ".hdf5", ".keras")
_LONG_SUFFIX = 20


@contextmanager
def replacing(path: str | Path, suffix: str | None = None) -> Iterator[Path]:
    """Yield a temporary name for a file or folder, which is renamed to ``path`` on success.

    The ``with`` block should only write, since every OSError in it is reported as a write error.
    ``storage.outputs.place`` decides whether an existing file is replaced. By default, the
    temporary name has the suffix of ``path``, by which libraries choose formats.

    Raises:
        UserError: the file cannot be written.
    """
    path = Path(path)
    ending = suffix or (path.suffix if len(os.fsencode(path.suffix)) < _LONG_SUFFIX else "")
    # HDF5 reports a full disk as either of these.
    errors = (OSError, RuntimeError) if Path(f"new{ending}").suffix in _HDF5 else (OSError,)
    with write_errors(path, errors), temporary_folder(path) as folder:
        temporary = folder / f"new{ending}"
        try:
            yield temporary
        except BaseException:
            _free(temporary)
            raise
        _sync(temporary)
        place(temporary, path)
        sync_folder(path.parent)


def _free(path: Path) -> None:
    """Free the disk space of a file that HDF5 may have left open.

    After a write error, HDF5 cannot close a file until it can write the rest, and the system keeps
    even a deleted file while it is open: https://github.com/h5py/h5py/issues/914
    """
    with suppress(OSError):
        os.truncate(path, 0)


def _sync(path: Path) -> None:
    for file in path.rglob("*") if path.is_dir() else (path,):
        if not file.is_dir():
            with open(file, "rb") as opened:
                os.fsync(opened.fileno())


def sync_folder(folder: Path) -> None:
    """Make a new name in the folder survive a power failure, if the system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def growing(path: Path) -> Iterator[TextIO]:
    """Yield a text file for long-running output; on success, it is renamed to ``path``.

    Until then, its name is ``partial_path(path)``. If the ``with`` block fails after something was
    flushed, the file keeps this name, and a warning says so. Exceptions in the block are passed on;
    use ``write_errors`` around statements that write.
    """
    partial = partial_path(path)
    with write_errors(path):
        text = {"encoding": "utf-8", "errors": "backslashreplace", "newline": ""}
        discard(partial)
        file = open(partial, "x", **text)  # noqa: SIM115
    try:
        yield file
        with write_errors(path):
            file.flush()
            os.fsync(file.fileno())
            file.close()
            place(partial, path)
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
        logger.warning("The incomplete output is in %s", partial)
    else:
        partial.unlink()


def partial_path(path: Path) -> Path:
    """Return the path at which ``growing`` writes before the file is complete."""
    return path.with_name(f"{path.name}.partial")


@contextmanager
def write_errors(
    target: str | Path, errors: tuple[type[Exception], ...] = (OSError,)
) -> Iterator[None]:
    """Turn write errors within the ``with`` block into UserErrors about ``target``.

    Raises:
        UserError: the target cannot be written.
        BrokenPipeError: the target is a pipe whose reader has closed it.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except errors as error:
        raise UserError(f"cannot write {target}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """Return the system's message, unwrapped from that of HDF5."""
    wrapped = re.search(r"error message = '([^']+)'", str(error))
    return wrapped[1] if wrapped else one_line(error)
