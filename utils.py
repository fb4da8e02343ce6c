"""User-facing errors, registries, random generators, reading text files, signals.

Imports nothing heavy and nothing from this project, so that ``--help`` stays fast.
"""

import difflib
import errno
import logging
import os
import re
import signal
import stat
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

STARTED = time.monotonic()
"""When the command started."""


_LONGEST = 600  # characters of a message; longer ones lose their middle
_END = 150  # characters kept at the end of a longer message
_LISTED = 5  # items that a message lists
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff"
    "\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff]"  # invisible, or change text direction
)

LARGEST_TEXT = 2**27
"""Limit of a text file in bytes; the list of ImageNet's 1.3 million images has 50 MB."""
MOST_LINES = 3_000_000
"""Limit of a text file in lines."""


def printable(text: str) -> str:
    """Escape line breaks, terminal controls, and what is invisible or no character."""
    return _UNPRINTABLE.sub(lambda found: repr(found[0])[1:-1], text)


class UserError(Exception):
    """A failure that is explained to the user in one line, without a traceback.

    Messages may quote untrusted text, so line breaks and terminal controls are escaped, and the
    middle of an overlong message is left out. ``status`` is the exit status of the command.
    """

    status = 1

    def __init__(self, message: str):
        line = printable(message)
        if len(line) > _LONGEST:
            line = f"{line[: _LONGEST - _END - 3]} … {line[-_END:]}"
        super().__init__(line)


class UsageError(UserError):
    """A wrong argument: what the user asked for does not exist or does not fit."""

    status = 2


class Interrupted(BaseException):
    """A signal ended the command. Not an error, so that ``except Exception`` lets it pass.

    Args:
        number: number of the signal.
        hint: what happened to the work so far, or how to continue.

    Attributes:
        status: exit status of the command, 128 + number, the shell's convention for signals.
    """

    def __init__(self, number: int, hint: str = ""):
        word = "interrupted" if number == signal.SIGINT else "terminated"
        super().__init__("; ".join(filter(None, (word, hint))))
        self.number = number
        self.status = 128 + number


class Registry:
    """A table of functions by name.

    Names are case-insensitive; ``names()`` returns them as they were registered. ``kind``, e.g.
    ``"data set"``, names in error messages what is registered.
    """

    def __init__(self, kind: str):
        self.kind = kind
        self._entries: dict[str, tuple[str, Callable]] = {}

    def register(self, *names: str) -> Callable[[Callable], Callable]:
        """Return a decorator that registers a function under all ``names``.

        Raises:
            ValueError: a name is already taken.
        """

        def decorate(function: Callable) -> Callable:
            for name in names:
                if name.lower() in self._entries:
                    raise ValueError(f"{self.kind} {name!r} is registered twice")
                self._entries[name.lower()] = (name, function)
            return function

        return decorate

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._entries

    def names(self) -> list[str]:
        """Return all names in order of registration."""
        return [name for name, _ in self._entries.values()]

    def get(self, name: str) -> Callable:
        """Return the function registered as ``name``.

        Raises:
            UsageError: the name is unknown; the message lists the known ones.
        """
        if name not in self:
            raise unknown_name(self.kind, name, self.names())
        return self._entries[name.lower()][1]


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """Return the error for an unknown name, with the most similar one and all known ones."""
    known = list(known)
    close = difflib.get_close_matches(name, known, 1)
    choose = f"did you mean {close[0]}? Choose from" if close else "choose from"
    return UsageError(f"unknown {kind} {name!r}; {choose}: {', '.join(known)}")


def one_line(error: BaseException) -> str:
    """Return the message of an error from the system or a library, as one line."""
    reason = getattr(error, "strerror", None) or " ".join(str(error).split())
    return reason or type(error).__name__


def listing(items: Iterable[object]) -> str:
    """Return the first few items as text, with an ellipsis if there are more."""
    items = [str(item) for item in items]
    return ", ".join(items[:_LISTED]) + (", …" if len(items) > _LISTED else "")


def repeated(names: Iterable[str]) -> list[str]:
    """Return the names that occur more than once, each of them once."""
    return [name for name, times in Counter(names).items() if times > 1]


def generator(purpose: str, *numbers: int) -> np.random.Generator:
    """Return a random generator that depends only on the arguments.

    The purpose separates streams that share their (non-negative) numbers. For one purpose, always
    pass as many numbers: NumPy treats the entropy ``[1, 2]`` and ``[1, 2, 0]`` alike.
    """
    return np.random.default_rng(_seed_sequence(purpose, numbers))


def generators(
    purpose: str, *numbers: int, positions: Iterable[int]
) -> Iterator[np.random.Generator]:
    """Yield a random generator for each position, e.g. for each image of a batch.

    A stream depends only on the arguments and its position. It is NumPy's Philox with a key from
    the arguments and a counter that starts at position * 2**192 (Salmon et al., Parallel Random
    Numbers: As Easy as 1, 2, 3, SC 2011).

    Yields:
        The same generator object each time, reset to the next stream: creating a new one takes
        longer than augmenting a CIFAR image.
    """
    key = _seed_sequence(purpose, numbers).generate_state(2, np.uint64)
    bits = np.random.Philox(key=key)
    start, shared = bits.state, np.random.Generator(bits)
    counter = start["state"]["counter"]  # four words of 64 bits, the lowest first
    for position in positions:
        counter[3] = position
        bits.state = start
        yield shared


def _seed_sequence(purpose: str, numbers: Iterable[int]) -> np.random.SeedSequence:
    return np.random.SeedSequence([zlib.crc32(purpose.encode()), *numbers])


def open_regular(path: str | Path) -> BinaryIO:
    """Open a file for reading, but no pipe or device.

    Raises:
        OSError: it cannot be opened or is not a regular file; ``strerror`` says why.
    """
    try:
        file = open(path, "rb", opener=_without_waiting)  # noqa: SIM115 - the caller closes it
    except ValueError as error:  # a zero byte in the name
        raise OSError(errno.EINVAL, "the name contains a null character", str(path)) from error
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "it is a pipe or a device, not a file", str(path))
    return file


def _without_waiting(path: str, flags: int) -> int:
    """Open without blocking: a pipe would wait for a writer."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def list_folder(folder: str | Path) -> list[Path]:
    """List a folder in ascending order, without hidden files.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return sorted(path for path in Path(folder).iterdir() if not path.name.startswith("."))
    except (OSError, ValueError) as error:  # ValueError: a NUL in a name from a list
        reason = getattr(error, "strerror", error)
        raise UserError(f"cannot read the folder {folder}: {reason}") from error


def read_bytes(path: str | Path, limit: int) -> bytes:
    """Read a file of limited size.

    Raises:
        OSError: it cannot be read, is a pipe or a device, or has more than ``limit`` bytes;
            ``strerror`` says what.
    """
    with open_regular(path) as file:
        if os.fstat(file.fileno()).st_size <= limit:
            content = file.read(limit + 1)  # files in /proc are longer than their stated size
            if len(content) <= limit:
                return content
    raise OSError(errno.EFBIG, f"it has more than {limit:,} bytes", str(path))


def read_text(path: str | Path) -> str:
    """Read a UTF-8 text file, with all line ends converted to ``\\n``.

    Raises:
        UserError: the file is missing, is not UTF-8, or exceeds ``LARGEST_TEXT`` or
            ``MOST_LINES``.
    """
    try:
        text = read_bytes(path, LARGEST_TEXT).decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not a text file in UTF-8") from error
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    # These are all characters at which str.splitlines breaks lines.
    if sum(map(text.count, "\n\v\f\x1c\x1d\x1e\x85\u2028\u2029")) > MOST_LINES:
        raise UserError(f"{path} has more than {MOST_LINES:,} lines")
    return text


def read_lines(path: str | Path) -> list[str]:
    """Read the non-empty lines of a text file, stripped of surrounding white space.

    Raises:
        UserError: the file is missing or is not UTF-8 text.
    """
    text = read_text(path)
    return [line.strip() for line in text.splitlines() if line.strip()]


@contextmanager
def without_log(name: str, word: str) -> Iterator[None]:
    """Suppress a logger's messages that contain ``word`` within the ``with`` block."""

    def is_other(record: logging.LogRecord) -> bool:
        return word not in record.getMessage()

    logger = logging.getLogger(name)
    logger.addFilter(is_other)
    try:
        yield
    finally:
        logger.removeFilter(is_other)


@contextmanager
def handling(number: int, handler: Callable[[int, object], None]) -> Iterator[None]:
    """Handle a signal within the ``with`` block, then restore the previous handler.

    Does nothing outside the main thread, where Python allows no handlers, and if the process was
    started to ignore the signal.
    """
    before = signal.getsignal(number)
    if threading.current_thread() is not threading.main_thread() or before in (
        signal.SIG_IGN,
        None,  # not installed by Python, which could not restore it
    ):
        yield
        return
    signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)
