"""The other processes of a run: what they must agree in, and what to say when one has gone.

They talk through the key-value store of JAX's coordination service, which the first of them runs.
JAX itself finds out that a process is lost, by heartbeats, and aborts all others; why is told by
``supervision``. A process that fails says so in the store, where the others look every second.
"""

import atexit
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from training.parallel.supervision import explain_aborts
from utils import UsageError, UserError, one_line

_POLL = 1.0  # seconds between two looks at the store
_NOTICE = 2.5 * _POLL  # within which all have looked
_GRACE = 5.0  # seconds to end in an orderly way, for a process that has to
_ENDED = "ended"
_ADVICE = "with --snapshot, the same commands on all hosts go on from there"


class Peers:
    """The processes of a run as this one sees them.

    Args:
        rank: of this process.
        processes: how many there are.
        lost_timeout: seconds after which JAX takes a silent process for lost.

    Attributes:
        names: of all processes, by rank.
        verdict: why this process has to end, once another one has ended with an error.
    """

    def __init__(self, rank: int, processes: int, lost_timeout: float):
        # JAX has no public name for its key-value store. What it has, multihost_utils, are
        # operations of all devices, which would wait forever for a process that has failed.
        from jax._src import distributed

        self.rank = rank
        self.processes = processes
        self.lost_timeout = lost_timeout
        self.verdict: UserError | None = None
        self._client = distributed.global_state.client
        self.names = [f"host {i}" for i in range(processes)]
        self._over = threading.Event()
        self._decided = threading.Event()
        self._explain_losses()

    def introduce(self, facts: Mapping[str, object]) -> None:
        """Watch the others, compare the ``facts`` of their start, and learn the machines' names."""
        threading.Thread(target=self._watch, daemon=True).start()
        self.agree("options", facts)
        machines = self.exchange("name", socket.gethostname())
        self.names = [f"host {i} ({machine})" for i, machine in enumerate(machines)]
        self._explain_losses()

    def exchange(self, topic: str, value: str) -> list[str]:
        """Return what every process says about a topic, by rank; wait as long as all are alive.

        Raises:
            UserError: another process has ended.
        """
        self._client.key_value_set(f"{topic}/{self.rank}", value)
        return [self._get(f"{topic}/{i}") for i in range(self.processes)]

    def agree(self, topic: str, facts: Mapping[str, object]) -> None:
        """Refuse to go on unless all processes have the same facts, under a topic used once.

        Raises:
            UsageError: names the first difference to another process.
        """
        own = {name: str(value) for name, value in facts.items()}
        for i, found in enumerate(self.exchange(topic, json.dumps(own))):
            other = json.loads(found)
            for name in sorted(own.keys() | other.keys()):
                if own.get(name) != other.get(name):
                    raise UsageError(
                        f"started differently than {self.names[i]}: {name} is {own.get(name)} "
                        f"here and {other.get(name)} there"
                    )

    def _get(self, key: str) -> str:
        while True:
            if self.verdict:
                raise self.verdict
            with suppress(Exception):  # not there yet; or lost, and then JAX aborts this process
                return self._client.blocking_key_value_get(key, int(_POLL * 1000))

    def announce(self, error: BaseException) -> None:
        """Tell the others that this process ends, and why."""
        text = one_line(error)
        status = getattr(error, "status", UserError.status)
        with suppress(Exception):  # whoever cannot be told finds out by itself
            self._client.key_value_set(f"{_ENDED}/{self.rank}", json.dumps([status, text]))
            if self.rank == 0:  # the store ends with this process
                time.sleep(_NOTICE)

    def barrier(self) -> None:
        """Wait until all have done their work, and look after them no longer.

        Raises:
            UserError: another process has ended with an error.
        """
        self.exchange("done", "")
        self._over.set()

    @property
    def done(self) -> bool:
        """Whether all have passed ``barrier``; each then exits by itself, and JAX waits for all."""
        return self._over.is_set()

    @contextmanager
    def together(self) -> Iterator[None]:
        """End all processes when one fails within the ``with`` block, before ``barrier``.

        Raises:
            UserError: another process has ended, or was lost.
        """
        try:
            yield
        except BaseException as error:
            if self.done:
                raise
            reason = self._reason(error)
            self._over.set()
            if reason is not self.verdict:
                self.announce(reason)
            # Before JAX, which would wait for the others once more: the last one comes first.
            interrupted = isinstance(reason, KeyboardInterrupt)
            atexit.register(os._exit, getattr(reason, "status", 130 if interrupted else 1))
            if isinstance(reason, UserError):
                raise self._signed(reason) from error
            raise

    def _reason(self, error: BaseException) -> BaseException:
        """Return the failure of another process if an error only comes from that.

        An operation with a process that is lost may fail at once, saying little; JAX aborts this
        process, with the name of the lost one, when heartbeats have been missing for long enough.
        """
        if isinstance(error, RuntimeError | ValueError):  # JAX raises either
            self._decided.wait(self.lost_timeout + _GRACE)
            return self.verdict or error
        return error

    def _watch(self) -> None:
        """Look at the store; end this process soon after another one has failed.

        It may be waiting for the other within the backend, which nothing can interrupt.
        """
        while not self._over.wait(_POLL):
            with suppress(Exception):  # the store is gone: JAX aborts this process
                self._look()
            if self.verdict:
                self._decided.set()
                if not self._over.wait(_GRACE):
                    name, message = Path(sys.argv[0]).name, self._signed(self.verdict)
                    print(f"{name}: error: {message}", file=sys.stderr, flush=True)
                    os._exit(self.verdict.status)

    def _look(self) -> None:
        for key, value in self._client.key_value_dir_get(_ENDED):
            rank = int(key.rsplit("/", 1)[1])
            if rank != self.rank:
                status, text = json.loads(value)
                kind = UsageError if status == UsageError.status else UserError
                self.verdict = kind(f"{self.names[rank]} has ended: {text}")
                explain_aborts([("", self._signed(self.verdict))])
                return

    def _explain_losses(self) -> None:
        """Tell what JAX's messages mean from which process it is that was lost."""
        lost = [
            (rf"stopped sending heartbeats\):\s+{rank}\b", self._lost(name))
            for rank, name in enumerate(self.names)
        ]
        first = ("Failed to send RPC to coordination service", self._lost(self.names[0]))
        explain_aborts([*lost, first, ("", self._lost("another host"))])

    def _lost(self, name: str) -> UserError:
        return self._signed(UserError(f"lost the contact to {name}; {_ADVICE}"))

    def _signed(self, error: UserError) -> UserError:
        """Put the name of this process before a message, unless it is the first one."""
        return type(error)(f"{self.names[self.rank]}: {error}") if self.rank else error
