"""TensorBoard logs that do not end a training when they cannot be written."""

import logging
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import keras
import numpy as np

from storage.files import write_errors
from utils import UserError

logger = logging.getLogger(__name__)


class Logs(keras.callbacks.TensorBoard):
    """Log every epoch for TensorBoard; stop logging after a failure.

    Keras' own makes four messages of Protocol Buffers to describe each metric of each epoch, and
    with every 10,000th message that library returns all free memory of the process to the system.

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
        """Do nothing: only epochs are logged, and what Keras does here leaks memory."""

    on_train_batch_end = on_train_batch_begin

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Log the same metrics as Keras, under the same names."""
        rate = keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)
        self._try(self._log, epoch, {**(logs or {}), "learning_rate": rate})

    def on_train_end(self, logs: dict | None = None) -> None:
        self._try(super().on_train_end, logs)

    def _log(self, epoch: int, metrics: Mapping[str, float]) -> None:
        import tensorflow as tf

        for name, value in metrics.items():
            validation = name.startswith("val_")
            with (self._val_writer if validation else self._train_writer).as_default():
                # TensorFlow keeps a constant for each number of Python's that it has ever seen.
                tf.summary.write(
                    f"epoch_{name.removeprefix('val_')}",
                    np.float32(value),
                    step=np.int64(epoch),
                    metadata=_scalar(),
                )

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


@cache
def _scalar() -> bytes:
    """Return the metadata of a scalar in an event file."""
    from tensorboard.plugins.scalar import metadata

    return metadata.create_summary_metadata(None, None).SerializeToString()
