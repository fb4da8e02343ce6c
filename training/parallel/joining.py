"""How the processes of a run on several machines join each other."""

import atexit
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial

from training.options import HostOptions
from training.parallel.addresses import parse_address
from training.parallel.peers import Peers
from training.parallel.supervision import explain_aborts
from utils import UsageError, UserError

logger = logging.getLogger(__name__)

# What JAX prints when it aborts while the processes join, and what it means.
_REASONS = {
    "Unexpected task registered": "host 0 was started with fewer --hosts",
    "newer incarnation": "another process has joined with the same --host_rank",
    "RegisterTask": "some of them did not join in time (--join_timeout)",
    "": "JAX gave up; TF_CPP_MIN_LOG_LEVEL=0 shows why",
}
_SHUTDOWN = 3600  # seconds; the others wait while the first process writes files


def join(options: HostOptions, facts: Mapping[str, object]) -> Peers:
    """Wait for the other processes, see ``hosts.join``.

    Raises:
        UsageError: the processes were started differently, or the port is taken.
        UserError: the first process cannot be reached.
    """
    import jax

    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    # The preemption service would install its own SIGTERM handler.
    jax.config.update("jax_enable_preemption_service", False)
    logging.getLogger("jax").setLevel(logging.WARNING)
    explain_aborts([(text, _not_joined(options, reason)) for text, reason in _REASONS.items()])
    if options.host_rank:
        _reach(options)
    else:
        _check_free(options)
        logger.info("Waiting for the other hosts at %s", options.coordinator)
    _interruptibly(
        partial(
            jax.distributed.initialize,
            options.coordinator,
            options.hosts,
            options.host_rank,
            cluster_detection_method="deactivate",
            initialization_timeout=options.join_timeout,
            heartbeat_timeout_seconds=options.lost_timeout,
            shutdown_timeout_seconds=_SHUTDOWN,
        )
    )
    peers = Peers(options.host_rank, options.hosts, options.lost_timeout)
    atexit.register(_leave, peers)
    with peers.together():
        peers.introduce({"--hosts": options.hosts, **facts})
    return peers


def _interruptibly(work: Callable[[], None]) -> None:
    """Run a function that blocks within JAX in a thread, so that Python can handle signals."""
    errors: list[BaseException] = []

    def attempt() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    # A daemon, so that Python does not wait for it at exit.
    thread = threading.Thread(target=attempt, name="joining", daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]


def _leave(peers: Peers) -> None:
    """At exit, wait for the others, or tell them if this process ends before training began."""
    import jax

    if peers.done:
        # Before JAX drops its backends, when it may be aborted; no issue is known.
        jax.distributed.shutdown()
        return
    peers.announce(UserError("it ended before training began"))
    os._exit(UserError.status)


def _reach(options: HostOptions) -> None:
    """Wait until the first process accepts connections; JAX would not say what failed."""
    deadline = time.monotonic() + options.join_timeout
    while True:
        try:
            socket.create_connection(parse_address(options.coordinator), timeout=5).close()
            return
        except OSError as error:
            if time.monotonic() > deadline or isinstance(error, socket.gaierror):
                raise UserError(
                    f"--coordinator {options.coordinator}: host {options.host_rank} cannot reach "
                    f"it within {options.join_timeout} s: {error.strerror or error}; give the "
                    "machine with --host_rank 0, and a port that is open there"
                ) from error
        time.sleep(0.5)


def _check_free(options: HostOptions) -> None:
    """Refuse a port that JAX cannot listen on, which might crash it; no issue is known."""
    dual = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if dual else socket.AF_INET
    _, port = parse_address(options.coordinator)
    try:
        socket.create_server(("", port), family=family, dualstack_ipv6=dual).close()
    except OSError as error:
        raise UsageError(
            f"--coordinator {options.coordinator}: cannot listen on that port of this machine: "
            f"{error.strerror}; give a free port"
        ) from error


def _not_joined(options: HostOptions, reason: str) -> UserError:
    return UserError(
        f"--host_rank {options.host_rank} of --hosts {options.hosts} could not join the others at "
        f"--coordinator {options.coordinator} within {options.join_timeout} s: {reason}"
    )
