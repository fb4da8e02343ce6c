"""Weights that the published code saved give the published outputs."""

import lzma
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from models import build_backbone
from models.files.saved import load_weights
from models.heads import classifier_head, embedding_head
from tests.models.files.test_weights import write_keras_2

DATA = Path(__file__).parents[2] / "data"


@pytest.fixture
def published(tmp_path):
    """A model file of Keras 2 with the layers of resnet-32, ``l2norm`` and ``prob``."""
    path = tmp_path / "published.h5"
    path.write_bytes(lzma.decompress((DATA / "published-resnet-32.h5.xz").read_bytes()))
    return path


def test_embedding_and_classifier_give_the_published_outputs(published):
    backbone = build_backbone("resnet-32", 64, classifier=False)
    model = classifier_head(embedding_head(backbone, "l2norm"), 5)
    report = load_weights(model, published)
    assert (report.missing, report.mismatched, report.unused) == ([], [], [])
    expected = np.load(DATA / "published-resnet-32.npz")
    embedding, prob = model.predict(expected["images"], verbose=0)
    np.testing.assert_allclose(embedding, expected["l2norm"], atol=1e-5)
    np.testing.assert_allclose(prob, expected["prob"], atol=1e-5)


def normalization(size):
    names = ("gamma", "beta", "moving_mean", "moving_variance")
    return {f"x/{name}:0": (size,) for name in names}


def head(names, width=4):
    """A network with unnamed normalizations of its own, and the classifier's behind them."""
    image = keras.Input((width,), name="image")
    x = image
    for name in names:
        x = keras.layers.BatchNormalization(name=name)(x)
    x = keras.layers.BatchNormalization(name="prob_bn")(x)
    return keras.Model(image, keras.layers.Dense(5, name="prob")(x))


@pytest.mark.parametrize(
    ("own", "sizes", "chosen"),
    [
        (0, {1: 4}, 1),
        (9, {**dict.fromkeys(range(1, 11), 4)}, 10),  # 9 of the network, as DenseNets have 99
        (0, {2: 4, 11: 4, 9: 4}, 11),  # networks built before count; numbers, not texts
        (0, {3: 4, 7: 8}, 3),  # the last one has another shape
        (2, {1: 4, 2: 4}, None),  # the network's own are not the head's
    ],
)
def test_the_last_numbered_normalization_is_the_classifiers(tmp_path, own, sizes, chosen):
    path = tmp_path / "published.h5"
    layers = {f"batch_normalization_{n}": normalization(size) for n, size in sizes.items()}
    layers = {n: {k.replace("x/", f"{n}/"): s for k, s in w.items()} for n, w in layers.items()}
    layers["prob"] = {"prob/kernel:0": (4, 5), "prob/bias:0": (5,)}
    with h5py.File(path, "w") as file:
        arrays = write_keras_2(file, layers)
    model = head([f"batch_normalization_{n}" for n in range(1, own + 1)])
    report = load_weights(model, path)
    assert ("prob_bn" in report.loaded) == (chosen is not None)
    found = model.get_layer("prob_bn").get_weights()
    if chosen is None:
        assert report.missing == ["prob_bn"]
        np.testing.assert_array_equal(found, [np.ones(4), np.zeros(4), np.zeros(4), np.ones(4)])
    else:
        name = f"batch_normalization_{chosen}"
        wanted = [value for key, value in arrays.items() if key.startswith(f"{name}/")]
        np.testing.assert_array_equal(found, wanted)
        assert name not in report.unused


def test_files_without_a_classifier_fill_none(tmp_path):
    path = tmp_path / "other.h5"
    name = "batch_normalization_3"
    weights = {k.replace("x/", f"{name}/"): s for k, s in normalization(4).items()}
    with h5py.File(path, "w") as file:
        write_keras_2(file, {name: weights})
    report = load_weights(head([]), path)
    assert report.loaded == [] and report.unused == [name]
