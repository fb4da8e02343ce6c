"""How the processes of a run on several machines come together.

JAX tells why that failed, and later which process was lost, in what it writes to standard error
before it aborts.
"""

import atexit
import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial

from training.options import HostOptions
from training.parallel.addresses import parse_address
from training.parallel.peers import Peers, first_match, tell_aborts, together
from utils import UsageError, UserError

logger = logging.getLogger(__name__)

# What JAX writes before it aborts, and what it means while the processes join …
_JOINING = {
    "Unexpected task registered": "host 0 was started with fewer --hosts",
    "newer incarnation": "another process has joined with the same --host_rank",
    "RegisterTask": "some of them did not come (--join_timeout)",
}
# … and later: the number of the host that was lost.
_RUNNING = {
    r"stopped sending heartbeats\):\s+(\d+)": "{0}",
    "Failed to send RPC to coordination service": "0",
}
_SHUTDOWN = 3600  # seconds; the first one writes files while the others wait


def join(options: HostOptions, facts: Mapping[str, object]) -> Peers:
    """Waits for the other processes; has to come before JAX looks at the machine's devices.

    Args:
        options: who they are.
        facts: what all have to be started with, by name.

    Raises:
        UsageError: the processes were started differently, or the port is taken.
        UserError: the first process cannot be reached.
    """
    import jax

    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    # It would take SIGTERM for itself.
    jax.config.update("jax_enable_preemption_service", False)
    logging.getLogger("jax").setLevel(logging.WARNING)
    tell_aborts(lambda text: _why_not_joined(options, text))
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
    peers = Peers(options.host_rank, options.hosts)
    # Before the process is ended; see console.end_process.
    atexit.register(_leave, peers)
    tell_aborts(lambda text: _why_lost(peers, text))
    with together(peers):
        peers.watch()
        peers.agree("options", {"--hosts": options.hosts, **facts})
        peers.introduce()
    return peers


def _interruptibly(work: Callable[[], None]) -> None:
    """Does what waits within JAX, where Python obeys no signal, in a thread of its own."""
    errors: list[BaseException] = []

    def attempt() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    # Python does not wait for it at its exit.
    thread = threading.Thread(target=attempt, name="joining", daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]


def _leave(peers: Peers) -> None:
    """Waits for the others; if the work with them has not begun, they are told instead."""
    import jax

    if peers.parted:
        jax.distributed.shutdown()
    else:
        peers.announce(UserError("it did not come to the training"))
        peers.forsake()


def _reach(options: HostOptions) -> None:
    """Waits until the first process can be connected to, since JAX would not say what failed."""
    deadline = time.monotonic() + options.join_timeout
    while True:
        try:
            socket.create_connection(parse_address(options.coordinator), timeout=5).close()
            return
        except OSError as error:
            if time.monotonic() > deadline or isinstance(error, socket.gaierror):
                raise UserError(
                    f"--coordinator {options.coordinator}: host {options.host_rank} cannot reach "
                    f"it within {options.join_timeout} s: {error.strerror or error}; it is the "
                    "machine of --host_rank 0, and a port that is open there"
                ) from error
        time.sleep(0.5)


def _check_free(options: HostOptions) -> None:
    """Refuses a port that JAX could not listen on, which may crash it."""
    dual = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if dual else socket.AF_INET
    _, port = parse_address(options.coordinator)
    try:
        socket.create_server(("", port), family=family, dualstack_ipv6=dual).close()
    except OSError as error:
        raise UsageError(
            f"--coordinator {options.coordinator}: cannot listen on that port of this machine: "
            f"{error.strerror}; give another, which is free"
        ) from error


def _why_not_joined(options: HostOptions, text: str) -> tuple[str, int]:
    reason = first_match(text, _JOINING) or "JAX gave up; TF_CPP_MIN_LOG_LEVEL=0 shows why"
    return (
        f"--host_rank {options.host_rank} of --hosts {options.hosts} could not join the others at "
        f"--coordinator {options.coordinator} within {options.join_timeout} s: {reason}",
        UserError.status,
    )


def _why_lost(peers: Peers, text: str) -> tuple[str, int]:
    rank = first_match(text, _RUNNING)
    who = peers.title(int(rank)) if rank else "another host"
    error = peers.verdict or peers.error(who)
    return peers.signed(error), error.status
