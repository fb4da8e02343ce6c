"""Evaluation after epochs."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import keras

from datasets.batches import Batches
from evaluation.classification.evaluator import Evaluator, Metrics


class Validation(keras.callbacks.Callback):
    """Add the metrics of a split to those of an epoch, as ``val_…``.

    Stands before all callbacks that read them.

    Args:
        evaluator: of the network.
        batches: the split.
        every: number of epochs after which the network is evaluated, besides the last epoch.
        ends_cycle: function of an epoch, from 0, that tells whether it is evaluated anyway.
        check: called after every batch; what it raises ends the training.
        weights: context in which the network has the weights to evaluate.

    Attributes:
        metrics: of the epoch that ends, for callbacks after this one; None if it is not evaluated.
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
