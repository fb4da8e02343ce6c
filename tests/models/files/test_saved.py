"""Saving: files load in other processes and backends, and are never partial."""

import importlib.util
import json
import os
import stat
import subprocess
import sys

import keras
import numpy as np
import pytest

import models
from models.files.saved import load_weights, save_model, save_weights
from models.heads import classifier_head, embedding_head
from models.initialization import initialize
from models.layers.batch_normalization import batch_normalization
from models.layers.convolution import conv2d
from models.layers.network import Network
from models.layers.outputs import average_pool
from utils import UsageError, UserError

# Keras asks its variables for arrays in a way that NumPy 2 warns of.
RELOAD = """
import importlib.util, json, sys
import keras, numpy as np
assert importlib.util.find_spec("models") is None
images = np.load("images.npy")
result = {}
for path in sys.argv[1:]:
    model = keras.models.load_model(path, safe_mode=True, compile=False)
    outputs = model(images)
    outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    result[path] = {
        "names": [layer.name for layer in model.layers if layer.weights],
        "outputs": [keras.ops.convert_to_numpy(output).tolist() for output in outputs],
    }
print(json.dumps(result))
"""


def two_headed():
    model = models.build_backbone(
        "resnet-32", 70, classifier=False, mean=[124, 117, 104], std=[60, 59, 58], bgr=True
    )
    return classifier_head(embedding_head(model, "l2norm"), 5)


def classifier():
    return models.build_backbone("simple", 4, classifier=True, channels=3, mean=[100, 90, 80])


@pytest.fixture(scope="module")
def reloaded(tmp_path_factory):
    """Two networks in both formats, and what a fresh process outside the project makes of them."""
    folder = tmp_path_factory.mktemp("saved")
    images = np.random.default_rng(0).integers(0, 256, (2, 17, 16, 3), np.uint8)
    np.save(folder / "images.npy", images)
    networks = {"two": two_headed(), "one": classifier()}
    files = {}
    for name, model in networks.items():
        initialize(model, 0)
        for suffix in (".keras", ".h5"):
            files[name + suffix] = model
            save_model(model, folder / (name + suffix))
    return images, files, reload(folder, list(files))


def reload(folder, names, **environment):
    """Load the models in a folder in a process outside the project."""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    process = subprocess.run(
        [sys.executable, "-c", RELOAD, *names],
        cwd=folder,
        env=clean | environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(process.stdout.splitlines()[-1])


@pytest.mark.skipif(not importlib.util.find_spec("jax"), reason="JAX is not installed")
def test_another_backend_gets_the_same_outputs(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (2, 17, 16, 3), np.uint8)
    np.save(tmp_path / "images.npy", images)
    image = keras.Input((None, None, 3))
    x = batch_normalization("bn")(conv2d(4, 3, kernel_regularizer="l2", name="conv")(image))
    model = Network(image, average_pool(x))
    save_model(model, tmp_path / "one.keras")
    found = reload(tmp_path, ["one.keras"], KERAS_BACKEND="jax")["one.keras"]["outputs"][0]
    np.testing.assert_allclose(found, keras.ops.convert_to_numpy(model(images)), rtol=1e-5)


@pytest.mark.parametrize("file", ["two.keras", "two.h5", "one.keras", "one.h5"])
def test_a_fresh_process_gets_the_same_outputs(reloaded, file):
    images, files, results = reloaded
    model = files[file]

    outputs = keras.tree.flatten(model(images))
    assert len(results[file]["outputs"]) == len(outputs)
    for expected, actual in zip(outputs, results[file]["outputs"], strict=True):
        np.testing.assert_allclose(
            np.array(actual), keras.ops.convert_to_numpy(expected), rtol=1e-4, atol=1e-5
        )
    assert results[file]["names"] == [layer.name for layer in model.layers if layer.weights]


@pytest.fixture
def tiny():
    model = keras.Model(*dense(), name="tiny")
    model.compile("sgd", loss="mse")
    return model


def dense():
    image = keras.Input((4,), name="image")
    return image, keras.layers.Dense(3, name="dense_of_mine")(image)


@pytest.mark.parametrize("name", ["a.keras", "a.h5"])
def test_the_saved_model_is_uncompiled_and_keeps_its_single_output(tiny, tmp_path, name):
    save_model(tiny, tmp_path / name)

    model = keras.models.load_model(tmp_path / name)
    assert not model.compiled
    assert tiny.compiled
    assert not isinstance(model.output, list)
    assert os.listdir(tmp_path) == [name]


def test_saving_h5_logs_no_warning(tiny, tmp_path, caplog, capfd):
    save_model(tiny, tmp_path / "a.h5")

    assert caplog.text == ""
    assert "legacy" not in "".join(capfd.readouterr())


def test_weights_under_any_name(tiny, tmp_path):
    tiny.get_layer("dense_of_mine").kernel.assign(np.arange(12.0).reshape(4, 3))
    for name in ("a.h5", "b.weights.h5"):
        save_weights(tiny, tmp_path / name)
    other = keras.Model(*dense())

    assert sorted(os.listdir(tmp_path)) == ["a.h5", "b.weights.h5"]
    for name in ("a.h5", "b.weights.h5"):
        other.set_weights([np.zeros((4, 3)), np.zeros(3)])
        assert load_weights(other, tmp_path / name).loaded == ["dense_of_mine"]
        np.testing.assert_array_equal(other.get_weights()[0], np.arange(12.0).reshape(4, 3))

    # Keras itself reads the file too.
    other.set_weights([np.zeros((4, 3)), np.zeros(3)])
    other.load_weights(tmp_path / "b.weights.h5")
    np.testing.assert_array_equal(other.get_weights()[0], np.arange(12.0).reshape(4, 3))


@pytest.mark.parametrize("save", [save_model, save_weights])
def test_files_get_ordinary_permissions(tiny, tmp_path, save):
    (tmp_path / "plain").touch()
    save(tiny, tmp_path / "a.h5")

    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "a.h5")}
    assert len(modes) == 1


@pytest.mark.parametrize("name", ["a.pb", "a", "a.keras.zip", ".keras"])
def test_wrong_endings_of_models(tiny, tmp_path, name):
    with pytest.raises(UsageError, match=r"\.keras or \.h5"):
        save_model(tiny, tmp_path / name)
    assert os.listdir(tmp_path) == []


def test_wrong_ending_of_weights(tiny, tmp_path):
    with pytest.raises(UsageError, match=r"a\.keras.*end in \.h5"):
        save_weights(tiny, tmp_path / "a.keras")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("save", [save_model, save_weights])
def test_a_file_in_place_of_the_folder_gives_a_one_line_error(tiny, tmp_path, save):
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "a.h5"

    with pytest.raises(UserError) as error:
        save(tiny, path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), RuntimeError("HDF5")])
def test_a_failure_keeps_the_older_file(tiny, tmp_path, monkeypatch, failure):
    path = tmp_path / "a.keras"
    path.write_text("older")

    def fail(*_):
        raise failure

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(UserError, match=r"cannot write .*a\.keras: (No space|HDF5)"):
        save_model(tiny, path)
    assert path.read_text() == "older"
    assert os.listdir(tmp_path) == ["a.keras"]
