"""A learning rate that changes with every step."""

from functools import partial

import keras

from training.learning_rates import clr_learning_rate
from training.parallel import backend


class CyclicalLearningRate(keras.callbacks.Callback):
    """Set the triangular learning rate before every step.

    Args:
        half_cycle: steps from the lowest to the highest rate.
        steps_per_epoch: batches of an epoch.
        min_lr: lowest rate.
        max_lr: highest rate.
        first_step: steps of its first epoch that a resumed run has done.
    """

    def __init__(
        self,
        half_cycle: int,
        steps_per_epoch: int,
        min_lr: float,
        max_lr: float,
        first_step: int = 0,
    ):
        super().__init__()
        self.steps_per_epoch = steps_per_epoch
        self.first_step = first_step
        self.learning_rate = partial(
            clr_learning_rate, half_cycle=half_cycle, min_lr=min_lr, max_lr=max_lr
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
