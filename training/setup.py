"""Preparation before a network is built: outputs, devices, seeds and precision."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from training.options import TrainingOptions
from training.outputs import claim_outputs
from training.parallel import backend, devices, hosts, replicas
from training.parallel.group import Group


@contextmanager
def begun(options: TrainingOptions) -> Iterator[Group]:
    """Check outputs early, join devices or machines, set seed and precision.

    Networks must be built and trained within the ``with`` block.

    Raises:
        UsageError: an output exists or cannot be written, or there are too few GPUs.
        UserError: another machine was lost.
    """
    with _joined(options) as group:
        if group.writes:
            claim_outputs(options.outputs, options.schedule.epochs)
        group.check_batch_size(options.batch_size)
        backend.jit_compile(options.jit)
        backend.configure(options.seed, options.mixed_precision)
        if options.mixed_precision:
            devices.warn_if_emulated(options.mixed_precision, options.device_type)
        yield group


def _joined(options: TrainingOptions) -> AbstractContextManager[Group]:
    if hosts.present():
        return hosts.joined(options.device_type, options.gpus)
    return replicas.joined(options.device_type, options.gpus, options.gpu_merge)
