"""TensorBoard's log has what Keras logs, and is written without anything new for every epoch."""

import sys
from pathlib import Path
from unittest import mock

import keras
import numpy as np
import pytest

from training.callbacks.tensorboard import Logs

tf = pytest.importorskip("tensorflow")
metadata = pytest.importorskip("tensorboard.plugins.scalar.metadata")

EPOCHS = [
    {"loss": 2.5, "l2norm_acc": 0.25, "val_loss": 2.75, "val_l2norm_acc": 0.125},
    {"loss": 1.5, "l2norm_acc": 0.5},  # an epoch that was not judged
    {"loss": 0.1, "l2norm_acc": 1.0, "val_loss": 0.3, "val_l2norm_acc": 0.75},
]


def written(callback: keras.callbacks.TensorBoard, epochs: list[dict]) -> None:
    """The callback's part of a training whose learning rate halves with every epoch."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.8), "mse")
    callback.set_model(model)
    callback.on_train_begin()
    for epoch, figures in enumerate(epochs):
        callback.on_epoch_end(epoch, dict(figures))
        model.optimizer.learning_rate = float(model.optimizer.learning_rate) / 2
    callback.on_train_end()


def read(folder: Path) -> dict[tuple[str, str, int], float]:
    """Part, name and epoch of every figure in the event files, with its value."""
    figures = {}
    for path in folder.rglob("events.out*"):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                if value.metadata.plugin_data.plugin_name == "scalars":
                    number = float(tf.make_ndarray(value.tensor))
                    figures[path.parent.name, value.tag, event.step] = number
    return figures


def test_the_log_has_what_keras_logs(tmp_path):
    written(keras.callbacks.TensorBoard(str(tmp_path / "keras")), EPOCHS)
    written(Logs(tmp_path / "ours"), EPOCHS)
    ours = read(tmp_path / "ours")
    assert ours == read(tmp_path / "keras")
    assert len(ours) == 13
    assert ours["validation", "epoch_l2norm_acc", 2] == 0.75
    assert ours["train", "epoch_learning_rate", 2] == np.float32(0.2)


def test_no_epoch_makes_messages_that_describe_its_figures(tmp_path):
    # Of every 10,000 of them, the last gives back all free memory of the process.
    with mock.patch.object(
        metadata, "create_summary_metadata", wraps=metadata.create_summary_metadata
    ) as made:
        written(Logs(tmp_path), [EPOCHS[0]] * 20)
    assert made.call_count <= 1


def test_no_number_is_kept(tmp_path):
    figures = {"loss": 0.123456789, "val_loss": 0.987654321}
    before = [sys.getrefcount(value) for value in figures.values()]
    written(Logs(tmp_path), [figures] * 3)
    assert [sys.getrefcount(value) for value in figures.values()] == before
