"""One run per snapshot."""

import fcntl
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from utils import UserError

logger = logging.getLogger(__name__)

_HOLDER = b"process "
"""What a lock file begins with, while somebody has it."""


@contextmanager
def only_run(path: Path | None) -> Iterator[None]:
    """Keeps other runs off a snapshot within the ``with`` block; without a path, does nothing.

    A file ``PATH.lock`` is locked, which the kernel undoes when the process ends in whatever way.

    Raises:
        UserError: another run is using the snapshot, or the lock file is something else.
    """
    if path is None:
        yield
        return
    lock = path.with_name(f"{path.name}.lock")
    descriptor = _lock(path, lock)
    try:
        yield
    finally:
        with suppress(OSError):  # where permission was lost meanwhile, it stays, unlocked
            lock.unlink()
        os.close(descriptor)


def _lock(path: Path, lock: Path) -> int:
    while True:
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise UserError(f"--snapshot {path}: cannot write {lock}: {error.strerror}") from error
        if not _is_lock(descriptor):
            os.close(descriptor)
            raise UserError(f"--snapshot {path}: {lock} is in the way, which is no lock file")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip()
            os.close(descriptor)
            raise UserError(
                f"--snapshot {path}: another run is using it, {holder or 'just started'}"
            ) from error
        except OSError as error:
            logger.warning("--snapshot %s: cannot be locked: %s", path, error.strerror)
            return descriptor
        if _is(lock, descriptor):
            with suppress(OSError):  # a full disk: the lock holds without a name in it
                os.ftruncate(descriptor, 0)
                holder = f"{os.getpid()} on {socket.gethostname()}\n"
                os.pwrite(descriptor, _HOLDER + holder.encode(), 0)
            return descriptor
        os.close(descriptor)  # its holder removed it in between


def _is_lock(descriptor: int) -> bool:
    """Whether a file has nothing but the name of a holder in it."""
    try:
        return os.pread(descriptor, len(_HOLDER), 0) in (b"", _HOLDER)
    except OSError:  # a pipe, or a device
        return False


def _is(path: Path, descriptor: int) -> bool:
    """Whether an open file still has its name."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False
