"""Distributed training on several machines, one process on each, under JAX.

Each process computes the gradient of its share of every batch on its own devices, and JAX sums
the gradients. Thus all processes have the same weights, see the same metrics and make the same
decisions. The first one reports and writes files.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import keras
import numpy as np
from keras import KerasTensor

from training.options import HostOptions, OutputOptions
from training.parallel import joining
from training.parallel.group import Group
from training.parallel.peers import Peers
from utils import UsageError

if TYPE_CHECKING:
    import jax

_CHUNK = 1 << 26  # bytes of a file to send at a time

_peers: Peers | None = None
"""The other processes, once ``join`` has been called."""


def join(options: HostOptions, facts: Mapping[str, object]) -> None:
    """Wait for the other processes; call before JAX initializes its devices.

    ``facts`` are options and versions that all processes must share, by name.

    Raises:
        UsageError: the backend is not JAX, or the processes were started with different options.
        UserError: the other processes cannot be joined.
    """
    global _peers
    backend = keras.backend.backend()
    if backend != "jax":
        why = (
            "; TensorFlow's MultiWorkerMirroredStrategy does not work with Keras 3 "
            "(keras-team/keras#20585)"
        )
        raise UsageError(
            f"--hosts {options.hosts}: several machines need the JAX backend, not {backend}: "
            f"pip install jax and set KERAS_BACKEND=jax{why * (backend == 'tensorflow')}"
        )
    _peers = joining.join(options, facts)


@contextmanager
def together() -> Iterator[None]:
    """End all joined processes, if any, when one fails within the ``with`` block.

    Raises:
        UserError: another process has ended, or was lost.
    """
    with _peers.together() if _peers else nullcontext():
        yield


def present() -> bool:
    """Return whether there are other processes."""
    return _peers is not None


@contextmanager
def joined(device_type: str, gpus: int) -> Iterator[Group]:
    """Make networks built and trained within the ``with`` block use ``gpus`` GPUs per process.

    Raises:
        UsageError: a process has fewer GPUs.
        UserError: another process has ended, or was lost.
    """
    if _peers.rank:
        _log_errors_only(_peers.names[_peers.rank])
    devices = _devices(device_type, gpus, _peers)
    with keras.distribution.DataParallel(devices=devices, auto_shard_dataset=False).scope():
        yield Group(len(devices), _peers.processes, _peers.rank)
    _peers.barrier()


def _log_errors_only(name: str) -> None:
    root = logging.getLogger()
    root.setLevel(logging.ERROR)
    for handler in root.handlers:
        handler.setFormatter(logging.Formatter(f"{name}: %(message)s"))
    logging.getLogger("results").disabled = True


def _devices(device_type: str, gpus: int, peers: Peers) -> "list[jax.Device]":
    """Return ``gpus`` devices of each process, ordered by rank."""
    import jax

    try:
        found = jax.devices(None if device_type == "auto" else device_type)
    except RuntimeError:  # no device of that type
        found = []
    chosen = []
    for rank in range(peers.processes):
        own = [device for device in found if device.process_index == rank]
        if len(own) < gpus:
            raise UsageError(f"--gpus {gpus}: {peers.names[rank]} has {len(own)} devices")
        chosen += own[:gpus]
    return chosen


def agree(group: Group, facts: Callable[[], Mapping[str, object]]) -> None:
    """Refuse to go on unless all processes have the same facts, see ``Peers.agree``.

    ``facts`` is not called if there is only one process.
    """
    if group.processes > 1:
        _peers.agree("facts", facts())


@contextmanager
def outputs_of(outputs: OutputOptions, group: Group) -> Iterator[OutputOptions]:
    """Yield the outputs of this process: all for the first one, otherwise a copy of its snapshot.

    The copy exists only within the ``with`` block. Machines need not share a file system.
    """
    if group.processes == 1 or outputs.snapshot is None:
        yield outputs if group.writes else OutputOptions()
        return
    with TemporaryDirectory() as folder:
        path = outputs.snapshot if group.writes else Path(folder) / "snapshot"
        there = group.writes and path.exists()
        size = int(_peers.exchange("snapshot", str(path.stat().st_size if there else 0))[0])
        if size:
            _send(path, size, group)
        yield outputs if group.writes else OutputOptions(snapshot=path)


def _send(path: Path, size: int, group: Group) -> None:
    """Send a file from the first process to the others, in chunks."""
    with open(path, "rb" if group.writes else "wb") as file:
        for start in range(0, size, _CHUNK):
            chunk = np.zeros(min(_CHUNK, size - start), np.uint8)
            if group.writes:
                file.readinto(chunk)
            sent = _all_reduce_max(chunk)
            if not group.writes:
                file.write(sent)


def all_reduce_max(number: int) -> int:
    """Return the maximum of a non-negative number over all processes, which must all call this."""
    return int(_all_reduce_max(np.array(number, np.int32))) if _peers else number


def _all_reduce_max(values: np.ndarray) -> np.ndarray:
    """Return the element-wise maximum of non-negative values over all processes.

    ``multihost_utils.process_allgather`` does not work if machines have different numbers of
    devices, as it reshapes ``jax.devices()`` to (processes, local devices).
    """
    import jax

    mesh = keras.distribution.distribution().device_mesh.backend_mesh
    own = sum(device.process_index == jax.process_index() for device in mesh.devices.flat)
    rows = np.zeros((own, *values.shape), values.dtype)
    rows[0] = values
    return np.asarray(_max_of_rows(mesh)(shard_batch(rows)))


@cache
def _max_of_rows(mesh: "jax.sharding.Mesh") -> Callable:
    """Compile the maximum over an array sharded along its first axis, with a replicated result."""
    import jax

    replicated = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    return jax.jit(lambda rows: rows.max(axis=0), out_shardings=replicated)


def barrier() -> None:
    """Wait for the other processes before all end early, so that none appears to be lost.

    Raises:
        UserError: another process has ended with an error.
    """
    if _peers:
        _peers.barrier()


@contextmanager
def on_its_own() -> Iterator[None]:
    """Make variables created within the ``with`` block local to this process.

    Keras creates some when it saves, and would wait for the other processes to do the same.
    """
    before = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(before)


def shard_batch(images: np.ndarray) -> "np.ndarray | jax.Array":
    """Assemble a global array, sharded over all devices, from each process's share of a batch."""
    distribution = keras.distribution.distribution()
    if distribution is None:
        return images
    import jax

    layout = distribution.get_data_layout(images.shape).backend_layout
    return jax.make_array_from_process_local_data(layout, images)


def replicate(tensors: Sequence[KerasTensor]) -> list[KerasTensor]:
    """Replicate network outputs, so that every process gets the values of whole batches."""
    distribution = keras.distribution.distribution()
    if distribution is None or distribution.num_processes == 1:
        return list(tensors)
    return [_Replicate()(tensor) for tensor in tensors]


class _Replicate(keras.layers.Layer):
    """Layer that gathers the shards of a batch from all processes."""

    def __init__(self):
        super().__init__(autocast=False)

    def call(self, values: KerasTensor) -> KerasTensor:
        mesh = keras.distribution.distribution().device_mesh
        layout = keras.distribution.TensorLayout([None] * len(values.shape), mesh)
        return keras.distribution.distribute_tensor(values, layout)
