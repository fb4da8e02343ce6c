"""The other processes of a run: checking that all agree, and explaining the loss of one.

They communicate through the key-value store of JAX's coordination service, which the first process
runs. If a process is lost, JAX notices missing heartbeats and aborts all others; ``supervision``
explains why. A process that fails says so in the store, which the others poll every second.
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

_POLL = 1.0  # seconds between polls of the store
_NOTICE = 2.5 * _POLL  # seconds within which all have polled
_GRACE = 5.0  # seconds for a process to end in an orderly way
_ENDED = "ended"
_ADVICE = "with --snapshot, repeating the commands on all hosts resumes the training"


class Peers:
    """The processes of a run, from the point of view of one of them.

    Args:
        rank: rank of this process.
        processes: number of processes.
        lost_timeout: seconds of silence after which JAX considers a process lost.

    Attributes:
        names: names of all processes, by rank.
        verdict: why this process must end, once another one has ended with an error.
    """

    def __init__(self, rank: int, processes: int, lost_timeout: float):
        # JAX's key-value store has no public name. The public multihost_utils are operations on all
        # devices, which would wait forever for a failed process.
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
        """Start watching the others, compare ``facts``, and exchange the machines' names."""
        threading.Thread(target=self._watch, daemon=True).start()
        self.agree("options", facts)
        machines = self.exchange("name", socket.gethostname())
        self.names = [f"host {i} ({machine})" for i, machine in enumerate(machines)]
        self._explain_losses()

    def exchange(self, topic: str, value: str) -> list[str]:
        """Return the values of all processes for a topic, by rank, waiting while all are alive.

        Raises:
            UserError: another process has ended.
        """
        self._client.key_value_set(f"{topic}/{self.rank}", value)
        return [self._get(f"{topic}/{i}") for i in range(self.processes)]

    def agree(self, topic: str, facts: Mapping[str, object]) -> None:
        """Check that all processes have the same facts; use each topic only once.

        Raises:
            UsageError: names the first difference from another process.
        """
        own = {name: str(value) for name, value in facts.items()}
        for i, found in enumerate(self.exchange(topic, json.dumps(own))):
            other = json.loads(found)
            for name in sorted(own.keys() | other.keys()):
                if own.get(name) != other.get(name):
                    raise UsageError(
                        f"started differently from {self.names[i]}: {name} is {own.get(name)} "
                        f"here and {other.get(name)} there"
                    )

    def _get(self, key: str) -> str:
        while True:
            if self.verdict:
                raise self.verdict
            with suppress(Exception):  # not there yet, or lost: then JAX aborts this process
                return self._client.blocking_key_value_get(key, int(_POLL * 1000))

    def announce(self, error: BaseException) -> None:
        """Tell the others that this process ends, and why."""
        text = one_line(error)
        status = getattr(error, "status", UserError.status)
        with suppress(Exception):  # the others will notice missing heartbeats
            self._client.key_value_set(f"{_ENDED}/{self.rank}", json.dumps([status, text]))
            if self.rank == 0:  # the store ends with this process
                time.sleep(_NOTICE)

    def barrier(self) -> None:
        """Wait until all processes have finished their work, and stop watching them.

        Raises:
            UserError: another process has ended with an error.
        """
        self.exchange("done", "")
        self._over.set()

    @property
    def done(self) -> bool:
        """Whether all have passed ``barrier``; then each may exit, and JAX waits for all."""
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
            # Handlers run in reverse order, so this one precedes JAX's, which waits for the others.
            interrupted = isinstance(reason, KeyboardInterrupt)
            atexit.register(os._exit, getattr(reason, "status", 130 if interrupted else 1))
            if isinstance(reason, UserError):
                raise self._signed(reason) from error
            raise

    def _reason(self, error: BaseException) -> BaseException:
        """Return the failure of another process if that caused the error, otherwise the error.

        An operation with a lost process may fail at once with an unhelpful error. Once heartbeats
        have been missing for long enough, JAX aborts this process and names the lost one.
        """
        if isinstance(error, RuntimeError | ValueError):  # JAX raises either
            self._decided.wait(self.lost_timeout + _GRACE)
            return self.verdict or error
        return error

    def _watch(self) -> None:
        """Poll the store; end this process soon after another one has failed.

        This process may be waiting for the other one within the backend, where nothing can
        interrupt it.
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
        """Register which of JAX's messages mean that which process was lost."""
        lost = [
            (rf"stopped sending heartbeats\):\s+{rank}\b", self._lost(name))
            for rank, name in enumerate(self.names)
        ]
        first = ("Failed to send RPC to coordination service", self._lost(self.names[0]))
        explain_aborts([*lost, first, ("", self._lost("another host"))])

    def _lost(self, name: str) -> UserError:
        return self._signed(UserError(f"lost contact with {name}; {_ADVICE}"))

    def _signed(self, error: UserError) -> UserError:
        """Prefix a message with the name of this process unless it is the first one."""
        return type(error)(f"{self.names[self.rank]}: {error}") if self.rank else error
