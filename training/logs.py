"""Logs for TensorBoard that do not end a training when they cannot be written."""

import logging
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np

from files import write_errors
from utils import UserError

logger = logging.getLogger(__name__)


class Logs(keras.callbacks.TensorBoard):
    """TensorBoard's log of every epoch; stops logging after a failure.

    Args:
        folder: where it goes.

    Attributes:
        error: why logging stopped, if so.
    """

    def __init__(self, folder: Path):
        super().__init__(str(folder))
        self.folder = folder
        self.error: UserError | None = None

    def set_model(self, model: keras.Model) -> None:
        self._try(super().set_model, model)

    def on_train_begin(self, logs: dict | None = None) -> None:
        self._try(super().on_train_begin, logs)

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        """Nothing: what is logged is of epochs, and what Keras does here keeps memory each time."""

    on_train_batch_end = on_train_batch_begin

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        # TensorFlow keeps a constant for each number of Python's that it has ever seen.
        figures = {name: np.float32(value) for name, value in (logs or {}).items()}
        self._try(super().on_epoch_end, np.int64(epoch), figures)

    def on_train_end(self, logs: dict | None = None) -> None:
        self._try(super().on_train_end, logs)

    def _try(self, step: Callable[..., None], *arguments: object) -> None:
        if self.error:
            return
        import tensorflow as tf

        try:
            with write_errors(self.folder, (OSError, tf.errors.OpError)):
                step(*arguments)
        except UserError as error:
            logger.error("%s; training goes on without a log", error)
            self.error = error
