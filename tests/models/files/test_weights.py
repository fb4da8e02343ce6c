"""Loading weights by the names of layers, from every kind of file."""

import os
import zipfile

import h5py
import keras
import ml_dtypes
import numpy as np
import pytest

from models.files.saved import load_weights, save_model, save_weights
from utils import UserError


# Keras asks its variables for arrays in a way that NumPy 2 warns of.
def network(outputs=5):
    image = keras.Input((None, None, 3), name="image")
    x = keras.layers.Normalization(mean=[1, 2, 3], variance=[1, 1, 1], name="normalization")(image)
    x = keras.layers.Conv2D(4, 3, name="conv")(x)
    x = keras.layers.BatchNormalization(name="bn")(x)
    x = keras.layers.GlobalAveragePooling2D(name="avg_pool")(x)
    return keras.Model(image, keras.layers.Dense(outputs, name="prob")(x), name="net")


def numbered(model):
    """Fill all weights with different numbers."""
    start = 0
    for variable in model.weights:
        size = int(np.prod(variable.shape))
        variable.assign(np.arange(start, start + size, dtype=np.float32).reshape(variable.shape))
        start += size
    return model


@pytest.fixture
def source():
    return numbered(network())


def weights_of(model, name):
    return model.get_layer(name).get_weights()


def assert_same(model, source, *names):
    for name in names:
        for a, b in zip(weights_of(model, name), weights_of(source, name), strict=True):
            np.testing.assert_array_equal(a, b)


KERAS_2 = {
    "image": {},
    "conv": {"conv/kernel:0": (3, 3, 3, 4), "conv/bias:0": (4,)},
    "bn": {f"bn/{name}:0": (4,) for name in ("gamma", "beta", "moving_mean", "moving_variance")},
    "fc1000": {"fc1000/kernel:0": (4, 7), "fc1000/bias:0": (7,)},
}


def write_keras_2(group, layers):
    """The layout of Keras 2, written from its description; returns the arrays by name."""
    rng = np.random.default_rng(0)
    arrays = {}
    group.attrs["layer_names"] = [name.encode() for name in layers]
    group.attrs["keras_version"] = b"2.2.0"
    for name, weights in layers.items():
        child = group.create_group(name)
        child.attrs["weight_names"] = np.array([key.encode() for key in weights], "S")
        for key, shape in weights.items():
            arrays[key] = rng.normal(size=shape).astype(np.float32)
            child.create_dataset(key, data=arrays[key])
    return arrays


@pytest.mark.parametrize("group", ["/", "model_weights"], ids=["weights", "model"])
def test_keras_2_files(tmp_path, group):
    path = tmp_path / "published.hdf5"
    with h5py.File(path, "w") as file:
        arrays = write_keras_2(file.require_group(group), KERAS_2)
    model = numbered(network())
    before = weights_of(model, "prob")

    report = load_weights(model, path)

    assert report.loaded == ["conv", "bn"]
    assert report.missing == ["prob"]
    assert report.mismatched == []
    assert report.unused == ["fc1000"]
    for layer in ("conv", "bn"):
        for value, key in zip(weights_of(model, layer), KERAS_2[layer], strict=True):
            np.testing.assert_array_equal(value, arrays[key])
    for value, kept in zip(weights_of(model, "prob"), before, strict=True):
        np.testing.assert_array_equal(value, kept)


def test_mismatched_layers_keep_their_weights(tmp_path, source):
    path = tmp_path / "a.h5"
    layers = KERAS_2 | {
        "conv": {"conv/kernel:0": (3, 3, 3, 4)},
        "prob": {"prob/kernel:0": (4, 6), "prob/bias:0": (6,)},
    }
    with h5py.File(path, "w") as file:
        write_keras_2(file, layers)
    model = numbered(network())

    report = load_weights(model, path)

    assert report.loaded == ["bn"]
    assert report.mismatched == [("conv", (4,), None), ("prob", (4, 5), (4, 6))]
    assert_same(model, source, "conv", "prob")


def test_names_cut_into_several_attributes(tmp_path):
    path = tmp_path / "long.h5"
    with h5py.File(path, "w") as file:
        write_keras_2(file, KERAS_2)
        names = list(file.attrs["layer_names"])
        del file.attrs["layer_names"]
        file.attrs["layer_names0"], file.attrs["layer_names1"] = names[:2], names[2:]

    assert load_weights(network(), path).loaded == ["conv", "bn"]


@pytest.mark.parametrize(
    ("save", "name"),
    [
        (save_weights, "a.h5"),
        (save_model, "a.keras"),
        (save_model, "a.h5"),
        (lambda model, path: model.save_weights(path), "a.weights.h5"),
    ],
)
def test_files_of_keras_3(tmp_path, source, save, name):
    source.compile("adam", loss="mse")
    source.optimizer.build(source.trainable_variables)
    save(source, tmp_path / name)
    # The content tells the format; the name does not matter.
    os.rename(tmp_path / name, tmp_path / "renamed")
    model = network(outputs=6)

    report = load_weights(model, tmp_path / "renamed")

    assert report.loaded == ["conv", "bn"]
    assert report.mismatched == [("prob", (4, 6), (4, 5))]
    assert report.missing == report.unused == []
    assert_same(model, source, "conv", "bn")


def test_bfloat16_weights(tmp_path):
    image = keras.Input((3,))
    layer = keras.layers.Dense(2, dtype="bfloat16", name="dense_of_mine")
    stored = keras.Model(image, layer(image))
    stored.set_weights([np.array([[1, 2], [3, 4], [5, 6]]) / 3, np.array([0.5, -0.1])])
    stored.save_weights(tmp_path / "a.weights.h5")
    model = keras.Model(image, keras.layers.Dense(2, name="dense_of_mine")(image))

    assert load_weights(model, tmp_path / "a.weights.h5").loaded == ["dense_of_mine"]
    expected = (np.array([[1, 2], [3, 4], [5, 6]]) / 3).astype(ml_dtypes.bfloat16)
    np.testing.assert_array_equal(model.get_weights()[0], expected.astype(np.float32))


def assert_one_line(path, match):
    with pytest.raises(UserError, match=match) as error:
        load_weights(network(), path)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)


def test_missing_file(tmp_path):
    assert_one_line(tmp_path / "none.h5", "there is no file")


def test_folder(tmp_path):
    assert_one_line(tmp_path, "cannot read")


def test_other_files(tmp_path):
    for name, content in [("text.h5", b"hello"), ("empty.h5", b"")]:
        (tmp_path / name).write_bytes(content)
        assert_one_line(tmp_path / name, "neither an HDF5 file nor")


def test_hdf5_without_a_model(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["numbers"] = np.arange(3)
    assert_one_line(tmp_path / "a.h5", "no weights of a Keras model")


def test_archive_without_weights(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.keras", "w") as archive:
        archive.writestr("config.json", "{}")
    assert_one_line(tmp_path / "a.keras", r"model\.weights\.h5")


@pytest.mark.parametrize("name", ["a.keras", "a.h5"])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.99])
def test_truncated_files_change_nothing(tmp_path, source, name, share):
    path = tmp_path / name
    save_model(network(), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    model = numbered(network())

    with pytest.raises(UserError, match="cannot read "):
        load_weights(model, path)
    assert_same(model, source, "conv", "bn", "prob")


def test_a_listed_layer_that_is_not_there(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        write_keras_2(file, KERAS_2)
        del file["conv"]["conv/bias:0"]
    assert_one_line(tmp_path / "a.h5", "cannot read")


def test_weights_in_other_files_are_refused(tmp_path):
    other, external, linked = (tmp_path / name for name in ("other.h5", "external.h5", "linked.h5"))
    with h5py.File(other, "w") as file:
        file["secret"] = np.zeros(4, np.float32)
    for path in (external, linked):
        with h5py.File(path, "w") as file:
            write_keras_2(file, KERAS_2)
            group = file["conv"]["conv"]
            del group["bias:0"]
            if path == linked:
                group["bias:0"] = h5py.ExternalLink(str(other), "secret")
            else:
                group.create_dataset("bias:0", (4,), "f4", external=[(str(other), 0, 16)])
        assert_one_line(path, "refers to another file")
