"""What every other module may use: errors for people, registries, random generators, lists.

Imports nothing of this project and nothing heavy, so that ``--help`` stays quick.
"""

import signal
import time
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

STARTED = time.monotonic()
"""When the command began."""


class UserError(Exception):
    """A failure that is explained to the user in one line, without a traceback.

    Attributes:
        status: exit status of the command, 1.
    """

    status = 1


class UsageError(UserError):
    """A wrong argument: the user asked for something that does not exist or does not fit.

    Attributes:
        status: exit status of the command, 2.
    """

    status = 2


class Interrupted(BaseException):
    """A signal ended the command. Not an error, so that ``except Exception`` lets it pass.

    Args:
        number: of the signal.
        hint: what became of the work, or how to go on.

    Attributes:
        status: exit status of the command, 128 + number, as that of a process that it kills.
    """

    def __init__(self, number: int, hint: str = ""):
        word = "interrupted" if number == signal.SIGINT else "terminated"
        super().__init__("; ".join(filter(None, (word, hint))))
        self.number = number
        self.status = 128 + number


class Registry:
    """Maps names to the functions that build what the names stand for.

    Names are case-insensitive; ``names()`` returns them as they were registered.

    Args:
        kind: what is registered, for error messages, e.g. ``"data set"``.
    """

    def __init__(self, kind: str):
        self.kind = kind
        self._entries: dict[str, tuple[str, Callable]] = {}

    def register(self, *names: str) -> Callable[[Callable], Callable]:
        """Returns a decorator that registers a function under all ``names``.

        Raises:
            ValueError: a name is taken already.
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
        """All registered names, in the order of registration."""
        return [name for name, _ in self._entries.values()]

    def get(self, name: str) -> Callable:
        """The function registered as ``name``.

        Raises:
            UsageError: nothing has that name; the message lists what there is.
        """
        if name not in self:
            raise unknown_name(self.kind, name, self.names())
        return self._entries[name.lower()][1]


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """The error for a name that does not exist, listing those that do."""
    return UsageError(f"unknown {kind} {name!r}; known are: {', '.join(known)}")


def generator(purpose: str, *numbers: int) -> np.random.Generator:
    """A random generator that depends on nothing but its arguments.

    The purpose keeps streams apart that share their numbers: NumPy treats the entropy ``[1, 2]``
    and ``[1, 2, 0]`` alike, so numbers alone would let two uses draw the same values.

    Args:
        purpose: what is drawn, e.g. ``"augmentation"``.
        *numbers: non-negative integers, e.g. seed, epoch and sample.
    """
    return np.random.default_rng([zlib.crc32(purpose.encode()), *numbers])


def read_text(path: str | Path) -> str:
    """The content of a text file.

    Raises:
        UserError: the file is missing or is not UTF-8 text.
    """
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not a text file in UTF-8") from error


def read_lines(path: str | Path) -> list[str]:
    """The non-empty lines of a text file, without surrounding white space.

    Raises:
        UserError: the file is missing or is not UTF-8 text.
    """
    text = read_text(path)
    return [line.strip() for line in text.splitlines() if line.strip()]
