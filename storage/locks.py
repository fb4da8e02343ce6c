"""Locks between processes, which the system releases when a process ends in whatever way."""

import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import lock_descriptor

from utils import UserError

logger = logging.getLogger(__name__)

_HOLDER = "process "
"""What the lock file of a snapshot begins with while a run holds it."""


@contextmanager
def locked(path: Path, busy: Callable[[], None]) -> Iterator[bool]:
    """Hold the lock on a file, which is created if it is missing, within the ``with`` block.

    Args:
        path: the lock file. One that can only be read serves too: it may be another user's.
        busy: called if another process holds the lock; raises, or returns to wait for that process.

    Yields:
        Whether the file system can lock; if not, nobody is kept out.

    Raises:
        UserError: the file cannot be opened.
    """
    descriptor, held = _lock(path, busy)
    try:
        yield held
    finally:
        os.close(descriptor)


def _lock(path: Path, busy: Callable[[], None]) -> tuple[int, bool]:
    while True:
        descriptor = _open(path)
        try:
            held = _lock_descriptor(descriptor, busy)
            if not held or _is_named(path, descriptor):
                return descriptor, held
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its holder removed the file in between


def _open(path: Path) -> int:
    try:
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except PermissionError:
            return os.open(path, os.O_RDONLY)
    except OSError as error:
        raise UserError(f"cannot open {path}: {error.strerror}") from error


def _lock_descriptor(descriptor: int, busy: Callable[[], None]) -> bool:
    try:
        if not lock_descriptor(descriptor, blocking=False):
            busy()
            lock_descriptor(descriptor)
    except OSError:
        return False
    return True


def _is_named(path: Path, descriptor: int) -> bool:
    """Whether an open file still has its name."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


@contextmanager
def only_run(path: Path | None) -> Iterator[None]:
    """Keep other runs off a snapshot within the ``with`` block; without a path, do nothing.

    ``PATH.lock`` is locked, names the process meanwhile, and is removed at the end.

    Raises:
        UserError: another run is using the snapshot, or ``PATH.lock`` is something else.
    """
    if path is None:
        yield
        return
    lock = path.with_name(f"{path.name}.lock")

    def refuse() -> None:
        holder = _content(lock).strip() or "just started"
        raise UserError(f"--snapshot {path}: another run is using it, {holder}")

    if os.path.exists(lock) and not _is_lock(lock):
        raise UserError(f"--snapshot {path}: {lock} is in the way, which is no lock file")
    with locked(lock, refuse) as held:
        if not held:
            logger.warning("--snapshot %s: this file system cannot lock it", path)
        with suppress(OSError):  # on a full disk the lock holds without a name in it
            lock.write_text(f"{_HOLDER}{os.getpid()} on {socket.gethostname()}\n")
        try:
            yield
        finally:
            with suppress(OSError):  # where permission was lost meanwhile, it stays, unlocked
                lock.unlink()


def _is_lock(path: Path) -> bool:
    """Whether a file holds nothing but the name of a process."""
    return os.path.isfile(path) and _content(path)[: len(_HOLDER)] in ("", _HOLDER)


def _content(path: Path) -> str:
    try:
        with open(path, errors="replace") as file:
            return file.read(200)
    except OSError:
        return ""
