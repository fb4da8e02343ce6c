"""The other processes of a run: what they must agree in, and what to say when one has gone.

They talk through the key-value store of JAX's coordination service, which the first of them runs.
JAX ends a process whose peer is lost by ``abort()``, with twenty lines of its own; ``tell_aborts``
makes that one line and an exit status.
"""

import atexit
import ctypes
import json
import logging
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from utils import UsageError, UserError

logger = logging.getLogger(__name__)

LOST = 1
"""Exit status of a process that lost another one."""

_POLL = 1.0  # seconds between two looks at the others
_NOTICE = 2.5 * _POLL  # within which all have looked
_GRACE = 5.0  # seconds to end in an orderly way, for a process that has to
_ALIVE, _ENDED = "alive", "ended"
_THREADS = 32  # that may abort while the process ends
_ADVICE = "with --snapshot, the same commands on all hosts go on from there"


class Peers:
    """The processes of a run as this one sees them.

    Args:
        rank: of this process.
        processes: how many there are.

    Attributes:
        verdict: why this process has to end, once another one has ended with an error.
    """

    def __init__(self, rank: int, processes: int):
        from jax._src import distributed  # JAX has no public name for its key-value store

        self.rank = rank
        self.processes = processes
        self.verdict: UserError | None = None
        self._client = distributed.global_state.client
        self._names = [f"host {i}" for i in range(processes)]
        self._over = threading.Event()

    def watch(self) -> None:
        """Starts to look after the others."""
        threading.Thread(target=self._watch, daemon=True).start()

    def introduce(self) -> None:
        """Learns the names of the machines."""
        names = self.exchange("name", socket.gethostname())
        self._names = [f"host {i} ({name})" for i, name in enumerate(names)]

    def exchange(self, topic: str, value: str) -> list[str]:
        """What every process says about a topic, by rank; waits as long as all are alive.

        Raises:
            UserError: another process has ended.
        """
        self._client.key_value_set(f"{topic}/{self.rank}", value)
        return [self._get(f"{topic}/{i}") for i in range(self.processes)]

    def agree(self, topic: str, facts: Mapping[str, object]) -> None:
        """Refuses to go on unless all processes were started alike.

        Args:
            topic: anything, once.
            facts: what has to be the same, by name.

        Raises:
            UsageError: names the first difference to another process.
        """
        own = {name: str(value) for name, value in facts.items()}
        self._client.key_value_set(f"{topic}/{self.rank}", json.dumps(own))
        for i in range(self.processes):
            other = json.loads(self._get(f"{topic}/{i}"))
            for name in sorted(own.keys() | other.keys()):
                if own.get(name) != other.get(name):
                    raise UsageError(
                        f"started differently than {self.title(i)}: {name} is {own.get(name)} "
                        f"here and {other.get(name)} there"
                    )

    def _get(self, key: str) -> str:
        while True:
            if self.verdict:
                raise self.verdict
            with suppress(Exception):  # not there yet; or gone, which JAX finds out itself
                return self._client.blocking_key_value_get(key, int(_POLL * 1000))

    def announce(self, error: BaseException) -> None:
        """Tells the others that this process ends, and why."""
        text = " ".join(str(error).split()) or type(error).__name__
        status = UsageError.status if isinstance(error, UsageError) else LOST
        with suppress(Exception):  # whoever cannot be told finds out by itself
            self._client.key_value_set(f"{_ENDED}/{self.rank}", json.dumps([status, text]))
            if self.rank == 0:  # the store ends with this process
                time.sleep(_NOTICE)

    def forsake(self) -> None:
        """Has JAX not wait for the others at the exit."""
        from jax._src import distributed

        state = distributed.global_state
        self._kept = state.client, state.service  # destroying them would wait as well
        state.client = state.service = None

    def lost(self) -> UserError | None:
        """Who has gone, after an operation with the others has failed; None if nobody has."""
        try:
            before = self._signs()
            time.sleep(_NOTICE)
            after = self._signs()
        except Exception:  # the store was with the first one
            return self.error(self.title(0))
        gone = [name for i, name in enumerate(self._names) if before.get(i) == after.get(i)]
        return self.verdict or (self.error(" and ".join(gone)) if gone else None)

    def error(self, who: str) -> UserError:
        """What to say when a process was lost."""
        return UserError(f"lost the contact to {who}; {_ADVICE}")

    def title(self, rank: int) -> str:
        """What a process is called."""
        return self._names[rank]

    def signed(self, message: object) -> str:
        """The message, from all but the first process with the name of this one."""
        return f"{self.title(self.rank)}: {message}" if self.rank else str(message)

    def barrier(self) -> None:
        """Waits until all have done their work, and looks after them no longer.

        Raises:
            UserError: another process has ended with an error.
        """
        self.exchange("done", "")
        self._over.set()

    @property
    def parted(self) -> bool:
        """Whether all have passed ``barrier``; each then exits by itself, and JAX waits for all."""
        return self._over.is_set()

    def _watch(self) -> None:
        """Shows that this process is alive, and ends it soon after another one has failed.

        It may be waiting for the other within the backend, which nothing can interrupt.
        """
        beat = 0
        while self.verdict is None:
            if self._over.wait(_POLL):
                return
            beat += 1
            with suppress(Exception):  # the store has gone: JAX ends this process
                self._client.key_value_set(f"{_ALIVE}/{self.rank}", str(beat), True)
                self._look()
        time.sleep(_GRACE)
        end(self.signed(self.verdict), self.verdict.status)

    def _look(self) -> None:
        for key, value in self._client.key_value_dir_get(_ENDED):
            rank = int(key.rsplit("/", 1)[1])
            if rank != self.rank:
                status, text = json.loads(value)
                kind = UsageError if status == UsageError.status else UserError
                self.verdict = kind(f"{self._names[rank]} has ended: {text}")
                return

    def _signs(self) -> dict[int, str]:
        """The last sign of life of each process."""
        found = self._client.key_value_dir_get(_ALIVE)
        return {int(key.rsplit("/", 1)[1]): value for key, value in found}


@contextmanager
def together(peers: Peers) -> Iterator[None]:
    """Has all processes end when one of them fails within the ``with`` block, before they parted.

    Raises:
        UserError: another process has ended, or was lost.
    """
    try:
        yield
    except BaseException as error:
        if peers.parted:
            raise
        reason = _reason(peers, error)
        if reason is not peers.verdict:
            peers.announce(reason)
        # Otherwise JAX would wait for the others once more. What was registered last comes first.
        atexit.register(_exit, getattr(reason, "status", _status(reason)))
        _telling.acquire(blocking=False)
        if isinstance(reason, UserError):
            raise type(reason)(peers.signed(reason)) from error
        raise


def _reason(peers: Peers, error: BaseException) -> BaseException:
    """The error itself, unless it only comes from the loss of another process."""
    if isinstance(error, UserError) or not isinstance(error, Exception):
        return error
    return peers.lost() or error  # what a backend says of it has many forms


def _status(error: BaseException) -> int:
    return 130 if isinstance(error, KeyboardInterrupt) else LOST


def _exit(status: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


_telling = threading.Lock()
"""Held for good by whoever tells why this process ends."""


def end(message: str, status: int = LOST) -> None:
    """Ends the process at once with one line, from any thread."""
    if not _telling.acquire(blocking=False):
        time.sleep(_GRACE)  # somebody else is ending it
        os._exit(status)
    line = f"{Path(sys.argv[0]).name}: error: {message}\n"
    with suppress(OSError, ValueError):
        os.write(sys.stderr.fileno(), line.encode(errors="replace"))
    os._exit(status)


def tell_aborts(explain: Callable[[str], tuple[str, int]]) -> None:
    """Has the process end with one line instead of a core dump when a library aborts it.

    Args:
        explain: makes a message and an exit status of what was written to standard error below
            Python, if that goes to a file (see ``console.run``), else of an empty text.
    """

    def aborted() -> Iterator[None]:
        # On the library's own thread, in the middle of abort(): Python runs here as in any thread.
        # On the main thread, it may begin with the handler of a signal that has come meanwhile:
        # within the try of a generator that waits there, but before that of a function.
        try:
            yield
            end(*explain(_written_by_libraries()))
        except GeneratorExit:  # Python ends, without an abort
            return
        except BaseException:
            end(*explain(_written_by_libraries()))

    waiting = [aborted() for _ in range(_THREADS)]  # one for each thread that aborts
    for one in waiting:
        next(one)
    handler = ctypes.CFUNCTYPE(None)(map(next, waiting).__next__)
    _handlers.append(handler)  # C keeps no reference
    ctypes.CDLL(None).signal(signal.SIGABRT, handler)


_handlers: list[object] = []


def _written_by_libraries() -> str:
    try:
        size = os.fstat(2).st_size
        return os.pread(2, _TAIL, max(0, size - _TAIL)).decode(errors="replace")
    except OSError:  # not a file that can be read
        return ""


_TAIL = 20_000  # bytes


def first_match(text: str, phrases: Mapping[str, str]) -> str | None:
    """The meaning of the first phrase found in a text, with what its groups found filled in."""
    for phrase, meaning in phrases.items():
        if found := re.search(phrase, text, re.DOTALL):
            return meaning.format(*found.groups())
    return None
