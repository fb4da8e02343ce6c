"""Claim the outputs of a command when it starts, so that no other file is ever overwritten.

``claim`` locks an output against other commands and remembers which file exists under its name.
``place`` renames a new file to that name only if this is still the same. The claims of a process
end with ``release``, or with the process.
"""

import logging
import os
import secrets
import socket
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from storage.locks import Lock
from storage.temporary import hidden, placeholder, remove_leftovers
from utils import UsageError, UserError

logger = logging.getLogger(__name__)

RECORD = ".run.json"
"""Suffix that turns the name of a file into that of its record."""

_LOCK = "lock"

State = tuple[tuple, ...]
"""Fingerprint of a file, or of all files in a folder; empty if it does not exist."""


@dataclass
class _Claim:
    state: State  # fingerprint of what this process may replace
    aside: Path | None = None  # alternative name, once another file has the output's name
    tell: Callable[[Path], None] | None = None  # see ``announce``


_claims: dict[Path, _Claim] = {}
_held = ExitStack()


def claim(option: str, path: Path, overwrite: bool) -> None:
    """Claim an output file, so that it is refused now instead of after hours of training.

    Removes leftovers of killed commands. ``option`` is the option that named the file.

    Raises:
        UsageError: the folder is missing or not writable, the file exists or is not a regular file,
            or its name is too long.
        UserError: another command is writing it.
    """
    _check_file(option, path, overwrite)
    hold(option, path)
    _check_file(option, path, overwrite)  # another command may have finished it meanwhile
    remove_leftovers(path.with_name(path.name + RECORD))
    note(path)


def hold(option: str, path: Path) -> None:
    """Lock an output of any kind against other commands; remove leftovers of killed ones.

    Raises:
        UserError: another command is writing it.
    """
    lock = path.with_name(hidden(path) + _LOCK)
    try:
        held = Lock(lock)
    except OSError as error:
        raise UserError(f"{option} {path}: cannot lock {lock}: {error.strerror}") from error
    with ExitStack() as stack:
        stack.callback(held.close)
        if held.acquire() is False:
            holder = held.content() or "just started"
            raise UserError(f"{option} {path}: another run is using it, {holder}")
        if not held.locked:
            logger.warning("%s %s: this file system cannot lock it", option, path)
        held.write(f"process {os.getpid()} on {socket.gethostname()}")
        remove_leftovers(path)
        stack.pop_all()
    _held.callback(held.remove)


def note(path: Path) -> None:
    """Allow ``place`` to replace the file or folder that has this name now, but no later one."""
    _claims[_key(path)] = _Claim(_state(path))


def announce(path: Path, tell: Callable[[Path], None]) -> None:
    """Make ``place`` call a function with the new file just before renaming it to ``path``."""
    if claimed := _claims.get(_key(path)):
        claimed.tell = tell


def release() -> None:
    """End all claims of this process."""
    _claims.clear()
    _held.close()


def place(new: Path, path: Path) -> None:
    """Rename a file or folder, replacing only what existed when the output was claimed.

    Raises:
        OSError: it cannot be renamed.
        UserError: another file has taken the name; the new one has been renamed to another name.
    """
    claimed = _claims.get(_key(path))
    if claimed is None:
        _rename(new, path, True)
        return
    try:
        there = _state(path)
        if there and there != claimed.state:
            raise FileExistsError
        if claimed.tell:
            claimed.tell(new)
        _rename(new, path, bool(there))
    except FileExistsError:
        claimed.aside = claimed.aside or _free_name(path)
        os.replace(new, claimed.aside)
        raise UserError(
            f"cannot write {path}: another file has been created there since the command started, "
            f"and is kept; the output is in {claimed.aside}"
        ) from None
    claimed.state = _state(path)


def discard(path: Path) -> None:
    """Remove a file unless it has changed since it was claimed."""
    claimed = _claims.get(_key(path))
    if claimed and claimed.state and claimed.state == _state(path):
        path.unlink()


def _rename(new: Path, path: Path, replace: bool) -> None:
    if new.is_dir():
        if replace and os.path.isdir(path) and os.listdir(path):
            _replace_folder(new, path)
        else:
            new.rename(path)
    elif replace:
        os.replace(new, path)
    else:
        try:
            os.link(new, path)  # unlike renaming, this never replaces anything
            new.unlink()
        except FileExistsError:
            raise
        except OSError:  # this file system has no hard links
            os.replace(new, path)


def _replace_folder(new: Path, path: Path) -> None:
    """Exchange two folders; a process killed meanwhile leaves the old one under a visible name."""
    old = _free_name(path)
    path.rename(old)
    try:
        new.rename(path)
    except BaseException:  # a signal, too
        old.rename(path)
        raise
    old.rename(new)


def _free_name(path: Path) -> Path:
    """Return an unused name in the same folder that begins and ends like that of a file."""
    while True:
        found = path.with_name(f"{path.stem[:100]}.{secrets.token_hex(4)}{path.suffix[:20]}")
        if not os.path.lexists(found):
            return found


def _key(path: Path) -> Path:
    return Path(os.path.realpath(path.parent), path.name)


def _state(path: Path) -> State:
    if not os.path.lexists(path):
        return ()
    inside = path.rglob("*") if path.is_dir() and not path.is_symlink() else ()
    return tuple(map(_facts, [path, *sorted(inside)]))


def _facts(path: Path) -> tuple:
    status = os.lstat(path)
    return str(path), status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _check_file(option: str, path: Path, overwrite: bool) -> None:
    if os.path.isdir(path):
        raise UsageError(f"{option} {path}: is a folder, not a file")
    if os.path.exists(path) and not os.path.isfile(path):
        raise UsageError(f"{option} {path}: is a device or a pipe, not a file")
    if os.path.lexists(path) and not overwrite:
        raise UsageError(f"{option} {path}: exists already; give --overwrite to replace it")
    check_folder(option, path.parent)
    try:
        # The temporary folder of the record will have the longest name.
        os.lstat(placeholder(path.with_name(path.name + RECORD)))
    except FileNotFoundError:
        pass
    except OSError as error:
        raise UsageError(f"{option} {path}: {error.strerror}") from error


def check_suffix(
    option: str, path: str | Path, suffixes: Sequence[str], any_case: bool = False
) -> None:
    """Raise UsageError unless the suffix of a file is one of ``suffixes``."""
    suffix = Path(path).suffix
    if (suffix.lower() if any_case else suffix) not in suffixes:
        raise UsageError(f"{option} {path}: the name must end in {' or '.join(suffixes)}")


def claim_all(outputs: Iterable[tuple[str, Path | None]], overwrite: bool) -> None:
    """Claim several outputs, given as pairs of option and path; paths may be None."""
    wanted = [(option, path) for option, path in outputs if path]
    check_distinct(wanted)
    for option, path in wanted:
        claim(option, path, overwrite)


def check_distinct(outputs: Iterable[tuple[str, Path]]) -> None:
    """Raise UsageError if two outputs, given as pairs of option and path, are the same file."""
    seen: dict[str, str] = {}
    for option, path in outputs:
        real = os.path.realpath(path)
        if real in seen:
            raise UsageError(f"{seen[real]} and {option} name the same file, {path}")
        seen[real] = option


def check_folder(option: str, folder: Path) -> None:
    """Raise UsageError unless files can be created in a folder."""
    try:
        # Permissions are not conclusive: root ignores them, and file systems may be read-only.
        tempfile.TemporaryFile(dir=folder).close()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UsageError(f"{option}: there is no folder {folder} to write to") from error
    except OSError as error:
        raise UsageError(f"{option}: cannot write to {folder}: {error.strerror}") from error
