"""Files that are written whole or not at all, and the check that they can be written.

Imports nothing of this project but the errors of ``utils``.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from utils import UsageError, UserError


@contextmanager
def replacing(path: str | Path, suffix: str | None = None) -> Iterator[Path]:
    """Yields a temporary name beside ``path`` that takes its place when the block succeeds.

    Args:
        path: the file to write.
        suffix: ending of the temporary name, since libraries choose formats by the ending; that
            of ``path`` by default.

    Raises:
        UserError: the file cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}{suffix or path.suffix}")
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    # HDF5 reports a full disk as either of these.
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise UserError(f"cannot write {path}: {reason}") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def check_writable(option: str, path: Path, overwrite: bool) -> None:
    """Refuses an output file before hours of training end in an error.

    Args:
        option: the flag that named the file, for the message.
        path: the file.
        overwrite: whether an existing file may be replaced.

    Raises:
        UsageError: the folder is missing or not writable, the file exists or is a folder.
    """
    if path.is_dir():
        raise UsageError(f"{option} {path}: is a folder, not a file")
    if path.exists() and not overwrite:
        raise UsageError(f"{option} {path}: exists already; give --overwrite to replace it")
    check_folder(option, path.parent)


def check_folder(option: str, folder: Path) -> None:
    """Refuses a folder in which no file can be created.

    Raises:
        UsageError: it is missing or not writable.
    """
    if not folder.is_dir():
        raise UsageError(f"{option}: there is no folder {folder} to write to")
    try:
        # Permissions alone do not tell: root passes them, read-only file systems do not.
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise UsageError(f"{option}: cannot write to {folder}: {error.strerror}") from error
