"""A learning rate that changes with every step."""

from collections.abc import Callable

import keras

from training.parallel import backend


class LearningRateOfSteps(keras.callbacks.Callback):
    """Set the learning rate before every step, a function of the number of steps so far.

    ``first_step`` is the number of steps of its first epoch that a resumed run has done.
    """

    def __init__(self, rate: Callable[[int], float], steps_per_epoch: int, first_step: int = 0):
        super().__init__()
        self.rate = rate
        self.steps_per_epoch = steps_per_epoch
        self.first_step = first_step
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
        self.model.optimizer.learning_rate = self.rate(iteration)
