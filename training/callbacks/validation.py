"""Evaluation after every epoch."""

from collections.abc import Callable

import keras

from datasets.batches import Batches
from evaluation.classification.evaluator import Evaluator


class Validation(keras.callbacks.Callback):
    """Add the metrics of a split to those of each epoch, as ``val_…``.

    Stands before all callbacks that read them.

    Args:
        evaluator: of the network.
        batches: the split.
        check: called after every batch; what it raises ends the training.
    """

    def __init__(
        self, evaluator: Evaluator, batches: Batches, check: Callable[[], None] | None = None
    ):
        super().__init__()
        self.evaluator = evaluator
        self.batches = batches
        self.check = check

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if logs is not None:
            values = self.evaluator(self.batches, check=self.check).values
            logs.update({f"val_{name}": value for name, value in values.items()})
