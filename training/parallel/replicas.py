"""Data-parallel training on several devices of one machine.

Each replica computes the gradient of its share of every batch. All replicas clip and apply the sum
of these gradients, so their weights stay equal.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

import keras
from keras import KerasTensor, ops

from training.parallel import devices
from training.parallel.group import ALONE, Group
from utils import UsageError

if TYPE_CHECKING:
    import tensorflow as tf

logger = logging.getLogger(__name__)


@contextmanager
def joined(device_type: str, number: int, gpu_merge: bool = False) -> Iterator[Group]:
    """Make networks built and trained within the ``with`` block use ``number`` devices.

    ``gpu_merge`` sums gradients on the devices instead of the CPU; see ``devices.chosen``.

    Raises:
        UsageError: there are fewer devices, or the backend cannot use several.
    """
    backend = keras.backend.backend()
    if number > 1 and backend not in _SCOPES:
        raise UsageError(
            f"--gpus {number}: needs the TensorFlow or JAX backend; under {backend}, give --gpus 1"
        )
    names = devices.chosen(device_type, number)
    if number == 1:
        # PyTorch would use a GPU; GPUs are hidden from the other backends.
        with keras.device("cpu") if backend == "torch" and device_type == "cpu" else nullcontext():
            yield ALONE
        return
    with _SCOPES[backend](names, gpu_merge):
        yield Group(replicas=number)


def _mirrored(names: list[str], gpu_merge: bool) -> AbstractContextManager:
    import tensorflow as tf

    from training.parallel.mirrored import SharedBatches

    # TensorFlow would log every all-reduce.
    logging.getLogger("tensorflow").setLevel(logging.WARNING)
    on_device = (
        tf.distribute.NcclAllReduce
        if names[0].startswith("gpu")
        else tf.distribute.HierarchicalCopyAllReduce
    )
    on_cpu = tf.distribute.ReductionToOneDevice("cpu:0")
    merge = on_device(num_packs=1) if gpu_merge else on_cpu
    return SharedBatches(names, merge).scope()


def _data_parallel(names: list[str], gpu_merge: bool) -> AbstractContextManager:
    if gpu_merge:
        logger.info("--gpu_merge has no effect under JAX, which always merges on the devices")
    return keras.distribution.DataParallel(devices=names, auto_shard_dataset=False).scope()


_SCOPES: dict[str, Callable[[list[str], bool], AbstractContextManager]] = {
    "tensorflow": _mirrored,
    "jax": _data_parallel,
}


def several() -> bool:
    """Return whether a network's code runs once per replica, as with several under TensorFlow.

    Under JAX, code runs once, on the whole batch.
    """
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync > 1


def total(gradients: Sequence[KerasTensor]) -> Sequence[KerasTensor]:
    """Sum gradients over all replicas, see ``several``."""
    context = _replica_context()
    return context.all_reduce("SUM", list(gradients)) if context else gradients


def all_agree(condition: KerasTensor) -> KerasTensor:
    """Return whether a condition, a bool scalar, holds in every replica."""
    context = _replica_context()
    if context is None:
        return condition
    failed = context.all_reduce("SUM", ops.cast(ops.logical_not(condition), "float32"))
    return ops.equal(failed, 0)


def _replica_context() -> "tf.distribute.ReplicaContext | None":
    if not several():
        return None
    import tensorflow as tf

    return tf.distribute.get_replica_context()


def average_statistics(model: keras.Model) -> None:
    """Replace the moving statistics in all replicas with their mean.

    Each replica normalizes its share of a batch with the statistics of that share, and has its own
    moving averages. Their means are evaluated and saved; training does not use them.
    """
    if not several():
        return
    for weight in model.non_trainable_weights:
        if weight.dtype == "float32":
            weight.assign(mean_of_copies(weight))


def mean_of_copies(variable: keras.Variable) -> KerasTensor:
    """Return the mean of a variable over all replicas, see ``several``."""
    if not several():
        return ops.convert_to_tensor(variable)
    import tensorflow as tf

    strategy = tf.distribute.get_strategy()
    first, *others = strategy.experimental_local_results(variable.value)
    # In this form, the mean of equal copies is equal to them, to the last bit.
    return first + tf.add_n([copy - first for copy in others]) / (1 + len(others))


class AveragedStatistics(keras.callbacks.Callback):
    """Call ``average_statistics`` after every epoch, before any callback evaluates or saves."""

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        average_statistics(self.model)
