"""Validation after epochs."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import keras

from datasets.batches import Batches
from evaluation.classification.evaluator import Evaluator, Metrics


class Validation(keras.callbacks.Callback):
    """Evaluate a split after epochs and add its metrics to the logs as ``val_…``.

    Must come before all callbacks that read these metrics.

    Args:
        evaluator: evaluates the network.
        batches: the validation or test split.
        every: evaluate every so many epochs, and the last one.
        ends_cycle: whether an epoch, from 0, ends a cycle and is evaluated anyway.
        check: called after every batch; may raise an exception to end the training.
        weights: context in which the network has the weights to evaluate.

    Attributes:
        metrics: results of the current epoch, for later callbacks; None if it was not evaluated.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        batches: Batches,
        every: int = 1,
        ends_cycle: Callable[[int], bool] = lambda epoch: False,
        check: Callable[[], None] | None = None,
        weights: Callable[[], AbstractContextManager] = nullcontext,
    ):
        super().__init__()
        self.evaluator = evaluator
        self.batches = batches
        self.every = every
        self.ends_cycle = ends_cycle
        self.check = check
        self.weights = weights
        self.metrics: Metrics | None = None

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.metrics = None  # features may be large

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        due = (epoch + 1) % self.every == 0 or epoch + 1 == self.params["epochs"]
        if logs is not None and (due or self.ends_cycle(epoch)):
            with self.weights():
                self.metrics = self.evaluator(self.batches, check=self.check)
            logs.update({f"val_{name}": value for name, value in self.metrics.values.items()})
