"""Learning-rate schedules by their published names; listing them does not import Keras."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from training import learning_rates
from training.options import ScheduleOptions
from utils import UsageError

if TYPE_CHECKING:
    import keras

    from training.step_rates import StepRates, Steps

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Schedule:
    """A schedule as the training loop needs it."""

    epochs: int  # length
    initial_lr: float  # learning rate of the first epoch
    callback: "keras.callbacks.Callback | None" = None  # sets the rate of each epoch
    step_rates: "Callable[[Steps], StepRates] | None" = None  # gives the rate of each step
    # whether an epoch, from 0, is the last of a cycle
    ends_cycle: Callable[[int], bool] = lambda epoch: False


def _sgdr(options: ScheduleOptions) -> Schedule:
    from sgdr import SGDR, ends_cycle, sgdr_epochs

    return Schedule(
        sgdr_epochs(options.sgdr_base_len, options.sgdr_mul),
        options.sgdr_max_lr,
        SGDR(options.sgdr_max_lr, options.sgdr_base_len, options.sgdr_mul),
        ends_cycle=partial(ends_cycle, base_len=options.sgdr_base_len, mul=options.sgdr_mul),
    )


def _sgd(options: ScheduleOptions) -> Schedule:
    from keras.callbacks import ReduceLROnPlateau

    if not waits_for_validation(options):
        steps = learning_rates.parse_step_schedule(options.sgd_schedule)
        return _by_epoch(steps.epochs, partial(steps.learning_rate, before=options.sgd_lr))
    return Schedule(
        learning_rates.SGD_EPOCHS,
        options.sgd_lr,
        ReduceLROnPlateau(
            "val_loss", factor=0.1, patience=options.sgd_patience, min_lr=options.sgd_min_lr
        ),
    )


def _clr(options: ScheduleOptions) -> Schedule:
    from training.step_rates import TriangularCycles

    return Schedule(
        learning_rates.CLR_CYCLES * 2 * options.clr_step_len,
        options.clr_min_lr,
        step_rates=partial(
            TriangularCycles,
            passes=options.clr_step_len,
            min_lr=options.clr_min_lr,
            max_lr=options.clr_max_lr,
        ),
    )


def _cosine(options: ScheduleOptions) -> Schedule:
    from training.step_rates import CosineAnnealing

    epochs = learning_rates.COSINE_EPOCHS if options.epochs is None else options.epochs
    warmup = options.cosine_warmup
    if warmup and warmup >= epochs:
        raise UsageError(f"--cosine_warmup {warmup}: give fewer than all {epochs} epochs")
    rates = partial(
        CosineAnnealing,
        epochs=epochs,
        max_lr=options.cosine_max_lr,
        min_lr=options.cosine_min_lr,
        warmup=warmup,
    )
    return Schedule(epochs, options.cosine_max_lr, step_rates=rates)


def _step(options: ScheduleOptions) -> Schedule:
    return _by_epoch(
        learning_rates.STEP_EPOCHS,
        partial(
            learning_rates.stepped_learning_rate,
            first_lr=options.step_lr,
            length=options.step_len,
            factor=options.step_factor,
        ),
    )


def _resnet(options: ScheduleOptions) -> Schedule:
    return _by_epoch(learning_rates.RESNET_EPOCHS, learning_rates.resnet_learning_rate)


def _by_epoch(epochs: int, rate: Callable[[int], float]) -> Schedule:
    from keras.callbacks import LearningRateScheduler

    return Schedule(epochs, rate(0), LearningRateScheduler(lambda epoch, current: rate(epoch)))


SCHEDULES: dict[str, Callable[[ScheduleOptions], Schedule]] = {
    "SGD": _sgd,
    "SGDR": _sgdr,
    "CLR": _clr,
    "ResNet-Schedule": _resnet,
    "Cosine": _cosine,
    "Step": _step,
}

DEPEND_ON_EPOCHS = ("Cosine",)
"""The schedules in which the rate of an epoch depends on the total number of epochs."""

OF_PYTORCH = ("Cosine", "Step")
"""The schedules of recipes in PyTorch, which are combined with PyTorch's momentum."""


def waits_for_validation(options: ScheduleOptions) -> bool:
    """Return whether the learning rate depends on the validation loss."""
    return options.lr_schedule == "SGD" and not options.sgd_schedule


def build_schedule(options: ScheduleOptions) -> Schedule:
    """Build the schedule that ``options`` name; ``options.epochs`` overrides its length."""
    if options.sgd_schedule and options.lr_schedule != "SGD":
        logger.warning("--sgd_schedule has no effect without --lr_schedule SGD")
    schedule = SCHEDULES[options.lr_schedule](options)
    return schedule if options.epochs is None else replace(schedule, epochs=options.epochs)
