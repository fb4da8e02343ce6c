"""Several devices, or processes, that train one network together: every batch is shared out.

Each replica computes the gradient of its share. The sum over the replicas is then clipped and
applied by all of them alike, so that they go on with the same weights.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import keras

from training import devices
from training.group import ALONE, Group
from utils import UsageError

logger = logging.getLogger(__name__)


@contextmanager
def joined(device_type: str, number: int, gpu_merge: bool = False) -> Iterator[Group]:
    """Has networks that are built and trained within the ``with`` block use several devices.

    Args:
        device_type: see ``devices.chosen``.
        number: of devices.
        gpu_merge: whether gradients are summed on the devices instead of the CPU.

    Raises:
        UsageError: there are not so many devices, or the backend cannot use them together.
    """
    backend = keras.backend.backend()
    names = devices.chosen(device_type, number)
    if number == 1:
        with keras.device("cpu") if names == ["cpu:0"] and backend == "torch" else nullcontext():
            yield ALONE
        return
    if backend not in _SCOPES:
        raise UsageError(
            f"--gpus {number}: several GPUs need the TensorFlow or JAX backend, not {backend}"
        )
    with _SCOPES[backend](names, gpu_merge):
        yield Group(replicas=number)


def _mirrored(names: list[str], gpu_merge: bool) -> AbstractContextManager:
    import tensorflow as tf

    # It would tell of every single sum.
    logging.getLogger("tensorflow").setLevel(logging.WARNING)
    on_device = (
        tf.distribute.NcclAllReduce
        if names[0].startswith("gpu")
        else tf.distribute.HierarchicalCopyAllReduce
    )
    on_cpu = tf.distribute.ReductionToOneDevice("cpu:0")
    merge = on_device(num_packs=1) if gpu_merge else on_cpu
    return tf.distribute.MirroredStrategy(names, merge).scope()


def _data_parallel(names: list[str], gpu_merge: bool) -> AbstractContextManager:
    if gpu_merge:
        logger.info("--gpu_merge has no effect under JAX, which always merges on the devices")
    return keras.distribution.DataParallel(devices=names, auto_shard_dataset=False).scope()


_SCOPES: dict[str, Callable[[list[str], bool], AbstractContextManager]] = {
    "tensorflow": _mirrored,
    "jax": _data_parallel,
}
