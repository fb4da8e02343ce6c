"""Locks between processes; the system releases them however a process ends."""

import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import lock_descriptor

from utils import UserError

PATIENCE = 600.0
"""Seconds to wait for another process that sends no heartbeat."""

_HOLDER = b"process "
"""Beginning of a lock file, before the name of its holder."""
_POLL = 0.1  # seconds


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

    def acquire(self) -> bool | None:
        """Try to lock the file.

        Returns:
            Whether it is locked now; None if the file system does not support locks.
        """
        while True:
            try:
                self.locked = lock_descriptor(self._descriptor, blocking=False)
            except OSError:
                return None
            if not self.locked or self._is_named():
                return self.locked
            self.close()  # the previous holder has just removed the file
            self._descriptor = _open(self.path)

    def is_lock(self) -> bool:
        """Return whether the file is empty or contains the name of a holder."""
        regular = stat.S_ISREG(os.fstat(self._descriptor).st_mode)
        return regular and os.pread(self._descriptor, len(_HOLDER), 0) in (b"", _HOLDER)

    def content(self) -> str:
        """Return the name that the holder wrote."""
        return os.pread(self._descriptor, 200, 0).decode(errors="replace").strip()

    def write(self, holder: str) -> None:
        """Write the name of this process, ``process …``."""
        with suppress(OSError):  # on a full disk, the lock works without a name
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{holder}\n".encode(), 0)

    def changed(self) -> float:
        """Return the time of the last heartbeat of the holder, see ``touch``."""
        return os.fstat(self._descriptor).st_mtime

    def touch(self) -> None:
        """Send a heartbeat, so that others keep waiting."""
        with suppress(OSError):  # another user's file
            os.utime(self._descriptor)

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
def locked(path: Path, busy: Callable[[], None], patience: float = PATIENCE) -> Iterator[Lock]:
    """Hold the lock on a file within the ``with`` block.

    Args:
        path: the lock file, see ``Lock``.
        busy: called if another process holds the lock; may raise, or return in order to wait.
        patience: seconds to wait without a heartbeat.

    Yields:
        The lock; its ``locked`` is False if the file system cannot lock.

    Raises:
        UserError: the file cannot be opened, or its holder sends no heartbeat.
    """
    try:
        lock = Lock(path)
    except OSError as error:
        raise UserError(f"cannot open {path}: {error.strerror}") from error
    try:
        if lock.acquire() is False:
            busy()
            _wait(lock, patience)
        yield lock
    finally:
        lock.close()


def _wait(lock: Lock, patience: float) -> None:
    sign, since = lock.changed(), time.monotonic()
    while lock.acquire() is False:
        if (now := lock.changed()) != sign:
            sign, since = now, time.monotonic()
        elif time.monotonic() - since > patience:
            raise UserError(
                f"{lock.path} is locked by another process, which has done nothing for "
                f"{patience:.0f} s: end it, then try again"
            )
        time.sleep(_POLL)
