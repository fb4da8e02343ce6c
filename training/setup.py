"""Preparation before a network is built: checks, devices, seeds and precision."""

import logging
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from training.options import TrainingOptions
from training.outputs import claim_outputs
from training.parallel import backend, devices, hosts, replicas
from training.parallel.group import Group
from training.schedules import PER_STEP, waits_for_validation
from utils import UsageError

logger = logging.getLogger(__name__)


@contextmanager
def begun(options: TrainingOptions) -> Iterator[Group]:
    """Check options and outputs early, join devices or machines, set seed and precision.

    Networks must be built and trained within the ``with`` block.

    Raises:
        UsageError: options contradict each other, an output exists or cannot be written, or there
            are too few GPUs.
        UserError: another machine was lost.
    """
    with _joined(options) as group:
        if group.writes:
            claim_outputs(options.outputs, options.schedule.epochs)
        _check_options(options)
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


def _check_options(options: TrainingOptions) -> None:
    if options.finetune and not os.path.isfile(options.finetune):
        raise UsageError(f"--finetune {options.finetune}: there is no such file")
    if options.schedule.sgd_schedule and options.schedule.lr_schedule != "SGD":
        logger.warning("--sgd_schedule has no effect without --lr_schedule SGD")
    if options.steps_per_execution > 1 and options.schedule.lr_schedule in PER_STEP:
        raise UsageError(
            f"--steps_per_execution {options.steps_per_execution}: --lr_schedule "
            f"{options.schedule.lr_schedule} sets the rate before each step; give "
            "--steps_per_execution 1"
        )
    if options.steps_per_execution > 1 and options.ema:
        raise UsageError(
            f"--steps_per_execution {options.steps_per_execution}: --ema averages the weights "
            "after each step; give --steps_per_execution 1"
        )
    if options.optimizer != "sgd" and options.nesterov:
        raise UsageError(f"--nesterov: --optimizer {options.optimizer} has no such momentum")
    if options.val_every > 1 and waits_for_validation(options.schedule):
        raise UsageError(
            f"--val_every {options.val_every}: --lr_schedule SGD needs the validation loss of "
            "every epoch; give --val_every 1, or --sgd_schedule"
        )
    if options.plot_every and not options.outputs.plot_features:
        raise UsageError("--plot_every needs --plot_features DIR")
    if (options.plot_every or 0) % options.val_every:
        raise UsageError(
            f"--plot_every {options.plot_every}: features are computed when the network is "
            f"evaluated; give a multiple of --val_every {options.val_every}"
        )
    for name in ("snapshot_best", "snapshot_minutes"):
        if getattr(options, name) is not None and not options.outputs.snapshot:
            raise UsageError(f"--{name} needs --snapshot FILE")
    if options.snapshot_best and options.snapshot_minutes is not None:
        raise UsageError("--snapshot_best keeps epochs only; leave --snapshot_minutes out")
