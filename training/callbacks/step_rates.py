"""Learning-rate schedules that change with every step."""

from collections.abc import Callable

import keras

from training.parallel import backend


class LearningRateOfSteps(keras.callbacks.Callback):
    """Set the learning rate before every batch as a function of the number of steps so far.

    Args:
        rate: maps the number of steps to the learning rate.
        batches_per_epoch: batches in each epoch.
        first_batch: batches already done in the first epoch of a resumed run.
        accumulate: batches per step.
    """

    def __init__(
        self,
        rate: Callable[[int], float],
        batches_per_epoch: int,
        first_batch: int = 0,
        accumulate: int = 1,
    ):
        super().__init__()
        self.rate = rate
        self.batches_per_epoch = batches_per_epoch
        self.first_batch = first_batch
        self.accumulate = accumulate
        self.epoch = 0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.epoch = epoch
        self._set(0)

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        self._set(self.first_batch + batch)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.first_batch = 0

    def _set(self, batch: int) -> None:
        backend.sync_variables(self.model)  # otherwise the step would not see the new rate
        batches = self.epoch * self.batches_per_epoch + batch
        self.model.optimizer.learning_rate = self.rate(batches // self.accumulate)
