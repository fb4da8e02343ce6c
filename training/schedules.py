"""Learning-rate schedules by their published names: how many epochs, and the callbacks."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import keras

from sgdr import SGDR, sgdr_epochs
from training import learning_rates
from training.options import ScheduleOptions
from training.parallel import backend


@dataclass(frozen=True)
class Schedule:
    """A schedule in the form that the training loop needs.

    Attributes:
        epochs: how many it has.
        initial_lr: learning rate of the first epoch.
        callbacks: what sets the rate during training.
    """

    epochs: int
    initial_lr: float
    callbacks: tuple[keras.callbacks.Callback, ...]


class CyclicalLearningRate(keras.callbacks.Callback):
    """Sets the triangular rate at the begin of every batch.

    Args:
        step_len: epochs of half a cycle.
        steps_per_epoch: batches of an epoch.
        min_lr: lowest rate.
        max_lr: highest rate.
        first_step: steps of the first epoch that an interrupted run has done.
    """

    def __init__(
        self,
        step_len: int,
        steps_per_epoch: int,
        min_lr: float,
        max_lr: float,
        first_step: int = 0,
    ):
        super().__init__()
        self.steps_per_epoch = steps_per_epoch
        self.first_step = first_step
        self.learning_rate = partial(
            learning_rates.clr_learning_rate,
            half_cycle=step_len * steps_per_epoch,
            min_lr=min_lr,
            max_lr=max_lr,
        )
        self.epoch = 0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.epoch = epoch
        self._set(0)

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        self._set(self.first_step + batch)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.first_step = 0

    def _set(self, step: int) -> None:
        backend.sync_variables(self.model)  # or the step would not see the rate
        iteration = self.epoch * self.steps_per_epoch + step
        self.model.optimizer.learning_rate = self.learning_rate(iteration)


def _sgdr(options: ScheduleOptions, steps_per_epoch: int, first_step: int) -> Schedule:
    return Schedule(
        sgdr_epochs(options.sgdr_base_len, options.sgdr_mul),
        options.sgdr_max_lr,
        (SGDR(options.sgdr_max_lr, options.sgdr_base_len, options.sgdr_mul),),
    )


def _sgd(options: ScheduleOptions, steps_per_epoch: int, first_step: int) -> Schedule:
    if options.sgd_schedule:
        steps = learning_rates.parse_step_schedule(options.sgd_schedule)
        return _by_epoch(steps.epochs, steps.learning_rate)
    plateau = keras.callbacks.ReduceLROnPlateau(
        "val_loss", factor=0.1, patience=options.sgd_patience, min_lr=options.sgd_min_lr
    )
    return Schedule(learning_rates.SGD_EPOCHS, options.sgd_lr, (plateau,))


def _clr(options: ScheduleOptions, steps_per_epoch: int, first_step: int) -> Schedule:
    triangle = CyclicalLearningRate(
        options.clr_step_len, steps_per_epoch, options.clr_min_lr, options.clr_max_lr, first_step
    )
    return Schedule(learning_rates.CLR_EPOCHS, options.clr_min_lr, (triangle,))


def _resnet(options: ScheduleOptions, steps_per_epoch: int, first_step: int) -> Schedule:
    return _by_epoch(learning_rates.RESNET_EPOCHS, learning_rates.resnet_learning_rate)


def _by_epoch(epochs: int, rate: Callable[[int], float]) -> Schedule:
    callback = keras.callbacks.LearningRateScheduler(lambda epoch, current: rate(epoch))
    return Schedule(epochs, rate(0), (callback,))


SCHEDULES: dict[str, Callable[[ScheduleOptions, int, int], Schedule]] = {
    "SGD": _sgd,
    "SGDR": _sgdr,
    "CLR": _clr,
    "ResNet-Schedule": _resnet,
}


def build_schedule(options: ScheduleOptions, steps_per_epoch: int, first_step: int = 0) -> Schedule:
    """The schedule that ``options`` name; ``options.epochs`` overrides its length.

    Args:
        options: which, and its parameters.
        steps_per_epoch: batches of an epoch.
        first_step: steps of the first epoch that an interrupted run has done.
    """
    schedule = SCHEDULES[options.lr_schedule](options, steps_per_epoch, first_step)
    if options.epochs is None:
        return schedule
    return Schedule(options.epochs, schedule.initial_lr, schedule.callbacks)
