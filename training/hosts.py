"""Several machines that train one network together, one process on each, under JAX.

Each process computes the gradient of its share of every batch on its own devices, and JAX sums it
up over all of them. All then have the same weights, see the same figures and take the same
decisions; the first one reports and writes files.
"""

import logging
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, BinaryIO

import keras
import numpy as np
from keras import KerasTensor

from training.addresses import parse_address
from training.group import Group
from training.options import HostOptions, OutputOptions
from training.peers import Peers, first_match, tell_aborts, together
from utils import UsageError, UserError

if TYPE_CHECKING:
    import jax

logger = logging.getLogger(__name__)

# What JAX writes before it aborts, and what it means while the processes join …
_JOINING = {
    "Unexpected task registered": "host 0 was started with fewer --hosts",
    "newer incarnation": "another process has joined with the same --host_rank",
    "RegisterTask": "some of the others did not come within --join_timeout {seconds} s",
}
# … and later: the number of the host that was lost.
_RUNNING = {
    r"stopped sending heartbeats\):\s+(\d+)": "{0}",
    "Failed to send RPC to coordination service": "0",
}
_SHUTDOWN = 3600  # seconds; the first one writes files while the others wait
_CHUNK = 1 << 26  # bytes of a file that are sent at a time

_peers: list[Peers] = []
"""The other processes, once ``join`` has been called."""


def join(options: HostOptions, facts: Mapping[str, object]) -> None:
    """Waits for the other processes; has to come before JAX looks at the machine's devices.

    Args:
        options: who they are.
        facts: what all have to be started with, by name.

    Raises:
        UsageError: the backend cannot do it, or the processes were started differently.
        UserError: the first process cannot be reached.
    """
    _check_backend(options.hosts)
    import jax

    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    # It would take SIGTERM for itself.
    jax.config.update("jax_enable_preemption_service", False)
    logging.getLogger("jax").setLevel(logging.WARNING)
    tell_aborts(lambda text: _why_not_joined(options, text))
    if options.host_rank:
        _reach(options)
    else:
        logger.info("Waiting for the other hosts at %s", options.coordinator)
    try:
        jax.distributed.initialize(
            options.coordinator,
            options.hosts,
            options.host_rank,
            cluster_detection_method="deactivate",
            initialization_timeout=options.join_timeout,
            heartbeat_timeout_seconds=options.lost_timeout,
            shutdown_timeout_seconds=_SHUTDOWN,
        )
    except RuntimeError as error:  # only if this process cannot listen
        raise UsageError(
            f"--coordinator {options.coordinator}: cannot listen on that port of this machine; "
            "give another, which is free"
        ) from error
    peers = Peers(options.host_rank, options.hosts)
    tell_aborts(lambda text: _why_lost(peers, text))
    with together(peers):
        peers.watch()
        peers.agree("options", {"--hosts": options.hosts, **facts})
        peers.introduce()
    _peers[:] = [peers]


def _check_backend(hosts: int) -> None:
    backend = keras.backend.backend()
    if backend != "jax":
        why = (
            "; TensorFlow's MultiWorkerMirroredStrategy does not work with Keras 3 "
            "(keras-team/keras#20585)"
        )
        raise UsageError(
            f"--hosts {hosts}: several machines need the JAX backend, not {backend}: pip install "
            f"jax and set KERAS_BACKEND=jax{why * (backend == 'tensorflow')}"
        )


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


def _why_not_joined(options: HostOptions, text: str) -> tuple[str, int]:
    reason = first_match(text, _JOINING) or "JAX gave up; TF_CPP_MIN_LOG_LEVEL=0 shows why"
    reason = reason.format(seconds=options.join_timeout)
    return (
        f"--host_rank {options.host_rank} of --hosts {options.hosts} could not join the others at "
        f"--coordinator {options.coordinator}: {reason}",
        UserError.status,
    )


def _why_lost(peers: Peers, text: str) -> tuple[str, int]:
    rank = first_match(text, _RUNNING)
    who = peers.title(int(rank)) if rank else "another host"
    return str(peers.error(who)), UserError.status


def present() -> bool:
    """Whether there are other processes."""
    return bool(_peers)


@contextmanager
def joined(device_type: str, gpus: int) -> Iterator[Group]:
    """Has networks that are built and trained within the ``with`` block use all joined processes.

    Args:
        device_type: ``"auto"``, ``"gpu"`` or ``"cpu"``.
        gpus: how many devices each process uses.

    Raises:
        UsageError: one of them has not so many.
        UserError: another process has ended, or was lost.
    """
    (peers,) = _peers
    if peers.rank:
        _log_errors_only(peers.title(peers.rank))
    with together(peers):
        devices = _devices(device_type, gpus, peers)
        with keras.distribution.DataParallel(devices=devices, auto_shard_dataset=False).scope():
            yield Group(len(devices), peers.processes, peers.rank)
        peers.part()


def _log_errors_only(name: str) -> None:
    root = logging.getLogger()
    root.setLevel(logging.ERROR)
    for handler in root.handlers:
        handler.setFormatter(logging.Formatter(f"{name}: %(message)s"))
    logging.getLogger("results").disabled = True


def _devices(device_type: str, gpus: int, peers: Peers) -> "list[jax.Device]":
    """The same number of devices of each process, in the order of these."""
    import jax

    try:
        found = jax.devices(None if device_type == "auto" else device_type)
    except RuntimeError:  # no device of that type
        found = []
    chosen = []
    for rank in range(peers.processes):
        own = [device for device in found if device.process_index == rank]
        if len(own) < gpus:
            raise UsageError(f"--gpus {gpus}: {peers.title(rank)} has {len(own)} devices")
        chosen += own[:gpus]
    return chosen


def agree(group: Group, facts: Callable[[], Mapping[str, object]]) -> None:
    """Refuses to go on unless all processes found the same.

    Args:
        group: who trains together; alone there is nothing to ask for.
        facts: what has to be the same, by name.

    Raises:
        UsageError: names the first difference to another process.
    """
    if group.processes > 1:
        _peers[0].agree("facts", facts())


@contextmanager
def outputs_of(outputs: OutputOptions, group: Group) -> Iterator[OutputOptions]:
    """The files of this process: all for the one that writes, for others the snapshot to read.

    These get a copy of the first one's, if there is one, for the time of the ``with`` block: the
    machines need not share a file system.
    """
    if group.processes == 1 or outputs.snapshot is None:
        yield outputs if group.writes else OutputOptions()
        return
    with TemporaryDirectory() as folder:
        path = outputs.snapshot if group.writes else Path(folder) / "snapshot"
        there = group.writes and path.exists()
        size = int(_peers[0].exchange("snapshot", str(path.stat().st_size if there else 0))[0])
        if size:
            _send(path, size, group)
        yield outputs if group.writes else OutputOptions(snapshot=path)


def _send(path: Path, size: int, group: Group) -> None:
    """Copies a file of the first process to the others, in parts."""
    with open(path, "rb" if group.writes else "wb") as file:
        for start in range(0, size, _CHUNK):
            _pass_on(file, min(_CHUNK, size - start), group)


def _pass_on(file: BinaryIO, size: int, group: Group) -> None:
    from jax.experimental import multihost_utils

    own = np.zeros(size, np.uint8)
    if group.writes:
        own[:] = np.frombuffer(file.read(size), np.uint8)
    sent = multihost_utils.broadcast_one_to_all(own)
    if not group.writes:
        file.write(sent.tobytes())


@contextmanager
def on_its_own() -> Iterator[None]:
    """Within the ``with`` block, new variables are those of this process only.

    Keras creates some when it saves, and would wait for the other processes to do so as well.
    """
    before = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(before)


def everywhere(tensors: Sequence[KerasTensor]) -> list[KerasTensor]:
    """Outputs of a network such that every process gets the values of whole batches."""
    distribution = keras.distribution.distribution()
    if distribution is None or distribution.num_processes == 1:
        return list(tensors)
    return [_Everywhere()(tensor) for tensor in tensors]


class _Everywhere(keras.layers.Layer):
    """Gathers what the processes have computed of a batch."""

    def __init__(self):
        super().__init__(autocast=False)

    def call(self, values: KerasTensor) -> KerasTensor:
        mesh = keras.distribution.distribution().device_mesh
        layout = keras.distribution.TensorLayout([None] * len(values.shape), mesh)
        return keras.distribution.distribute_tensor(values, layout)
