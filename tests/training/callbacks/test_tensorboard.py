"""TensorBoard reads from our log what it reads from Keras'; an epoch makes few messages."""

import json
import sys
from pathlib import Path
from unittest import mock

import keras
import numpy as np
import pytest

from training.callbacks.tensorboard import Logs

pytest.importorskip("tensorflow")  # for Keras' own
loader = pytest.importorskip("tensorboard.backend.event_processing.event_file_loader")
event_pb2 = pytest.importorskip("tensorboard.compat.proto.event_pb2")
tensor_util = pytest.importorskip("tensorboard.util.tensor_util")

EPOCHS = [
    {"loss": 2.5, "l2norm_acc": 0.25, "val_loss": 2.75, "val_l2norm_acc": 0.125},
    {"loss": 1.5, "l2norm_acc": 0.5},  # an epoch that was not judged
    {"loss": 0.1, "l2norm_acc": 1.0, "val_loss": 0.3, "val_l2norm_acc": 0.75},
]


@pytest.fixture(scope="module")
def model():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(), "mse")
    return model


def written(callback: keras.callbacks.Callback, model: keras.Model, epochs: list[dict]) -> None:
    """The callback's part of a training whose learning rate halves with every epoch."""
    model.optimizer.learning_rate = 0.8
    callback.set_model(model)
    callback.on_train_begin()
    for epoch, figures in enumerate(epochs):
        callback.on_epoch_end(epoch, dict(figures))
        model.optimizer.learning_rate = float(model.optimizer.learning_rate) / 2
    callback.on_train_end()


def read(folder: Path) -> dict[tuple[str, str, str, int], object]:
    """Read the files with TensorBoard: values by part, plugin, tag and step."""
    found = {}
    for path in folder.rglob("events.out*"):
        for event in loader.EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                key = (path.parent.name, value.metadata.plugin_data.plugin_name, value.tag)
                found[(*key, event.step)] = tensor_util.make_ndarray(value.tensor).tolist()
    return found


def test_the_log_has_what_keras_logs(tmp_path, model):
    written(keras.callbacks.TensorBoard(str(tmp_path / "keras")), model, EPOCHS)
    written(Logs(tmp_path / "ours"), model, EPOCHS)
    ours = read(tmp_path / "ours")
    assert ours == read(tmp_path / "keras")
    assert len(ours) == 13 + 1
    assert ours["validation", "scalars", "epoch_l2norm_acc", 2] == 0.75
    assert ours["train", "scalars", "epoch_learning_rate", 2] == np.float32(0.2)
    (drawing,) = ours["train", "graph_keras_model", "keras", 0]
    assert json.loads(drawing)["config"]["name"] == model.name


def test_an_epoch_makes_two_messages(tmp_path, model):
    # Of every 10,000 of them, the last gives back all free memory of the process.
    with mock.patch.object(event_pb2, "Event", wraps=event_pb2.Event) as made:
        written(Logs(tmp_path), model, [EPOCHS[0]] * 20)
    assert made.call_count == 2 * 20 + 3  # the network, and the version at the top of two files


def test_no_number_is_kept(tmp_path, model):
    figures = {"loss": 0.123456789, "val_loss": 0.987654321}
    before = [sys.getrefcount(value) for value in figures.values()]
    written(Logs(tmp_path), model, [figures] * 3)
    assert [sys.getrefcount(value) for value in figures.values()] == before
