"""Early stopping that restores the weights of the best epoch."""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager

import keras

from training.callbacks.epoch_log import EpochReporter, best_epoch
from training.callbacks.weight_copies import WeightCopy

logger = logging.getLogger(__name__)


class EarlyStopping(keras.callbacks.Callback):
    """Stop training after ``patience`` epochs without a better validation accuracy.

    All decisions follow from the records of the reporter, so this callback must come after the
    reporter, and before snapshots.

    Args:
        model: the network.
        reporter: has the metrics of all epochs, not all of which need to be evaluated.
        patience: number of epochs to wait after the best one.
        weights: context in which the network has the weights that are evaluated.

    Attributes:
        variables: the weights of the best epoch, the only state.
    """

    def __init__(
        self,
        model: keras.Model,
        reporter: EpochReporter,
        patience: int,
        weights: Callable[[], AbstractContextManager],
    ):
        super().__init__()
        self.reporter = reporter
        self.patience = patience
        self._weights = weights
        self._best = WeightCopy(model)
        self.variables = self._best.variables

    @property
    def over(self) -> bool:
        """Whether the training has ended."""
        records = self.reporter.records
        if not records or "val_loss" not in records[-1]:
            return False
        best = best_epoch(records)
        since = records[-1]["epoch"] - best["epoch"] if best else len(records)
        return since >= self.patience

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if "val_loss" not in self.reporter.records[-1]:
            return
        best = best_epoch(self.reporter.records)
        if best is self.reporter.records[-1]:
            with self._weights():
                self._best.take()
        elif self.over:
            logger.info("No better epoch in %d epochs: stopping early", self.patience)
            self.model.stop_training = True

    def in_place(self) -> AbstractContextManager:
        """Give the network the weights of the best epoch within the ``with`` block."""
        best = best_epoch(self.reporter.records)
        if best is None:
            return self._weights()
        logger.info("Evaluating the weights of epoch %d", best["epoch"])
        return self._best.in_place()
