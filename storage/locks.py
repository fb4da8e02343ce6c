"""Locks between processes; the system releases them however a process ends."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import lock_descriptor

from utils import UserError


class Lock:
    """An open lock file, which is created if missing and never opened through a symbolic link.

    Args:
        path: the file. It may be read-only, such as another user's.

    Attributes:
        locked: whether this process holds the lock.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(self, path: Path):
        self.path = path
        self.locked = False
        self._descriptor = _open(path)

    def acquire(self, wait: bool = False) -> bool | None:
        """Lock the file if it is free; with ``wait``, as soon as it is.

        Returns:
            Whether it is locked now; None if the file system does not support locks.
        """
        while True:
            try:
                self.locked = lock_descriptor(self._descriptor, blocking=wait)
            except OSError:
                return None
            if not self.locked or self._is_named():
                return self.locked
            self.close()  # the previous holder has just removed the file
            self._descriptor = _open(self.path)

    def content(self) -> str:
        """Return the name that the holder wrote."""
        return os.pread(self._descriptor, 200, 0).decode(errors="replace").strip()

    def write(self, holder: str) -> None:
        """Write the name of this process."""
        with suppress(OSError):  # on a full disk, the lock works without a name
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{holder}\n".encode(), 0)

    def close(self) -> None:
        """Release the lock."""
        os.close(self._descriptor)

    def remove(self) -> None:
        """Remove the file, then release the lock."""
        with suppress(OSError):  # without permission, the file remains, but unlocked
            if self._is_named():
                self.path.unlink()
        self.close()

    def _is_named(self) -> bool:
        """Return whether the open file still exists under its name."""
        try:
            return os.path.samestat(os.lstat(self.path), os.fstat(self._descriptor))
        except FileNotFoundError:
            return False


def _open(path: Path) -> int:
    flags = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | flags, 0o666)
    except PermissionError:
        return os.open(path, os.O_RDONLY | flags)


@contextmanager
def locked(path: Path, busy: Callable[[], None]) -> Iterator[Lock]:
    """Hold the lock on a file within the ``with`` block.

    Args:
        path: the lock file, see ``Lock``.
        busy: called if another process holds the lock; may raise, or return in order to wait.

    Yields:
        The lock; its ``locked`` is False if the file system cannot lock.

    Raises:
        UserError: the file cannot be opened.
    """
    try:
        lock = Lock(path)
    except OSError as error:
        raise UserError(f"cannot open {path}: {error.strerror}") from error
    try:
        if lock.acquire() is False:
            busy()
            lock.acquire(wait=True)
        yield lock
    finally:
        lock.close()
