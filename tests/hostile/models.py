"""Readers of HDF5 and Keras files: models, weights, descriptions, snapshots."""

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import keras
import numpy as np

from models.files.description import ModelDescription, Output, read_description
from models.files.saved import load_model, load_weights, save_model, save_weights
from tests.hostile.reader import Reader
from training.snapshots.file import RunState, read_snapshot, save_snapshot

VECTORS = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
_EXAMPLES = 30  # in the quick test: Keras takes its time
_IDENTITY = {"dataset": "Digits"}


@cache
def network() -> keras.Model:
    """Return a network with a convolution, normalization and both kinds of heads."""
    image = keras.Input((None, None, 3), dtype="float32", name="image")
    x = keras.layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 5.0, 6.0], name="n")(image)
    x = keras.layers.Conv2D(5, 3, kernel_initializer="he_normal", name="conv")(x)
    x = keras.layers.ReLU(name="relu")(keras.layers.BatchNormalization(name="bn")(x))
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    x = keras.layers.Dense(4, kernel_regularizer=keras.regularizers.L2(1e-4), name="embedding")(x)
    unit = keras.layers.UnitNormalization(name="l2norm")(x)
    prob = keras.layers.Dense(3, activation="softmax", name="prob")(x)
    return keras.Model(image, [unit, prob], name="tiny")


@cache
def content(suffix: str) -> bytes:
    """Return the file of the network: ``.keras``, ``.h5`` or ``.weights.h5``."""
    outputs = (Output("l2norm", "dot", VECTORS), Output("prob", "output"))
    description = ModelDescription("Digits", (3, 1, 7), ("a", "b", "c"), 3, 16, 14, outputs)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"m{suffix}")
        if suffix == ".weights.h5":
            save_weights(network(), path)
        else:
            save_model(network(), path, description)
        return path.read_bytes()


def _reader(file: str, suffix: str, read: Callable[[Path], object], check: Callable) -> Reader:
    return Reader(
        lambda folder: (folder / file).write_bytes(content(suffix)),
        (file,),
        lambda folder: read(folder / file),
        check,
        examples=_EXAMPLES,
    )


def _check_model(found: tuple, valid: tuple, folder: Path) -> None:
    """Classify an image of the size that the description has."""
    model, description = found
    size, channels = description.crop_size, description.channels
    assert {type(layer).__module__.split(".")[0] for layer in model.layers} == {"keras"}
    if size > 200:  # would take long
        return
    outputs = model(np.zeros((1, size, size, channels), np.float32))
    for value, output in zip(outputs, description.outputs, strict=True):
        vectors = output.class_vectors
        classes = len(description.labels) if vectors is None else vectors.shape[1]
        assert tuple(value.shape) == (1, classes)


def _check_description(found: ModelDescription, valid: ModelDescription, folder: Path) -> None:
    """Compare exactly: descriptions have checksums."""
    for field in ("dataset", "labels", "class_names", "channels", "target_size", "crop_size"):
        assert getattr(found, field) == getattr(valid, field)
    np.testing.assert_array_equal(found.outputs[0].class_vectors, VECTORS)


def _read_weights(path: Path) -> tuple:
    clone = keras.models.clone_model(network())
    return clone, load_weights(clone, path)


def _check_weights(found: tuple, valid: tuple, folder: Path) -> None:
    """Each layer is loaded, missing or of another shape, and keeps its shape."""
    clone, report = found
    names = [*report.loaded, *report.missing, *(name for name, *_ in report.mismatched)]
    assert sorted(names) == sorted(layer.name for layer in clone.layers if layer.weights)
    for one, other in zip(clone.weights, network().weights, strict=True):
        assert one.shape == other.shape


def _write_snapshot(folder: Path) -> None:
    numbers = keras.Input((2,))
    model = keras.Model(numbers, keras.layers.Dense(3, name="dense")(numbers))
    model.compile("sgd", "mse")
    model.optimizer.build(model.trainable_variables)
    save_snapshot(folder / "s.h5", model, RunState(2, dict(_IDENTITY), [{"epoch": 1, "loss": 2.5}]))


def _check_snapshot(found: RunState, valid: RunState, folder: Path) -> None:
    assert type(found.epoch) is int and found.epoch >= 0
    assert found.identity["dataset"] == "Digits"
    assert all(isinstance(record, dict) for record in found.records)


READERS = {
    "model .keras": _reader("m.keras", ".keras", load_model, _check_model),
    "model .h5": _reader("m.h5", ".h5", load_model, _check_model),
    "description in .keras": _reader("m.keras", ".keras", read_description, _check_description),
    "description in .h5": _reader("m.h5", ".h5", read_description, _check_description),
    "weights of Keras 3": _reader("w.h5", ".weights.h5", _read_weights, _check_weights),
    "weights of Keras 2": _reader("w.h5", ".h5", _read_weights, _check_weights),
    "weights in .keras": _reader("w.keras", ".keras", _read_weights, _check_weights),
    "snapshot": Reader(
        _write_snapshot,
        ("s.h5",),
        lambda folder: read_snapshot(folder / "s.h5", dict(_IDENTITY)),
        _check_snapshot,
        examples=_EXAMPLES,
    ),
}
