"""Temporary folders next to the files to write, which no other user can access."""

import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_END = ".partial"
_LENGTH = 8  # of the part of a name that ``tempfile`` chooses
_RANDOM = re.compile(rf"[a-z0-9_]{{{_LENGTH}}}" + re.escape(_END))


def hidden(path: Path) -> str:
    """Return the prefix of hidden names for a file."""
    return f".{path.name}."


def placeholder(path: Path) -> Path:
    """Return a path as long as those of temporary folders for ``path``."""
    return path.with_name(hidden(path) + _LENGTH * "x" + _END)


@contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder next to ``path``, which only this user can access; remove it at the end.

    Other users can neither predict its name nor create links in it.
    """
    folder = Path(tempfile.mkdtemp(prefix=hidden(path), suffix=_END, dir=path.absolute().parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def leftovers(path: Path) -> list[Path]:
    """List this user's temporary folders for ``path``, including those in use."""
    start = hidden(path)
    try:
        found = [e for e in os.scandir(path.absolute().parent) if e.name.startswith(start)]
        return [Path(e) for e in found if _RANDOM.fullmatch(e.name[len(start) :]) and _is_own(e)]
    except OSError:
        return []


def _is_own(entry: os.DirEntry) -> bool:
    status = entry.stat(follow_symlinks=False)
    private = stat.S_ISDIR(status.st_mode) and status.st_mode & 0o777 == stat.S_IRWXU
    return private and status.st_uid == os.geteuid()


def remove_leftovers(path: Path) -> None:
    """Remove leftovers of killed processes; call this only while no other one writes ``path``."""
    for folder in leftovers(path):
        shutil.rmtree(folder, ignore_errors=True)
