"""Heads: normalization by loss, and the classifier, against NumPy."""

import io
import json
import lzma
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from models import build_backbone
from models.heads import classifier_head, embedding_head, layer_output
from tests.models.outlines import outline
from utils import UsageError


# Keras asks its variables for arrays in a way that NumPy 2 warns of.
@pytest.fixture
def backbone():
    image = keras.Input((None, None, 3), name="image")
    x = keras.layers.Conv2D(4, 3, name="conv")(image)
    x = keras.layers.GlobalAveragePooling2D(name="avg_pool")(x)
    return keras.Model(image, keras.layers.Dense(6, name="embedding")(x), name="tiny")


@pytest.fixture
def images():
    return np.random.default_rng(0).normal(size=(3, 5, 5, 3)).astype(np.float32)


def numpy(x):
    return keras.ops.convert_to_numpy(x)


def softmax(x):
    return np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)


def test_cosine_loss_normalizes(backbone, images):
    raw = numpy(backbone(images))

    model = embedding_head(backbone, "l2norm")
    expected = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    np.testing.assert_allclose(numpy(model(images)), expected, rtol=1e-5, atol=1e-6)
    assert model.layers[-1].name == "l2norm"
    assert model.layers[-1].compute_dtype == "float32"


def test_softmax_correlation(backbone, images):
    model = embedding_head(backbone, "softmax")

    expected = softmax(numpy(backbone(images)))
    np.testing.assert_allclose(numpy(model(images)), expected, rtol=1e-4)
    assert model.layers[-1].name == "softmax"


def test_without_normalization_the_embedding_stays(backbone):
    model = embedding_head(backbone, None)

    assert model.output is backbone.output
    assert model.layers[-1].name == "embedding"


def test_classifier_rectifies_normalizes_and_classifies(backbone, images):
    model = classifier_head(embedding_head(backbone, "l2norm"), 5)
    norm, dense = model.get_layer("prob_bn"), model.get_layer("prob")
    rng = np.random.default_rng(1)
    gamma, beta, mean, variance = rng.uniform(0.5, 2, (4, 6)).astype(np.float32)
    norm.set_weights([gamma, beta, mean, variance])

    embedding, prob = (numpy(output) for output in model(images))
    x = (np.maximum(embedding, 0) - mean) / np.sqrt(variance + 1e-3) * gamma + beta
    kernel, bias = dense.get_weights()
    np.testing.assert_allclose(np.linalg.norm(embedding, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(prob, softmax(x @ kernel + bias), rtol=1e-4)
    assert norm.momentum == 0.99
    assert float(dense.kernel_regularizer.l2) == pytest.approx(5e-4)
    assert model.name == "tiny"


@pytest.mark.parametrize(("base", "features"), [("embedding", 6), ("avg_pool", 4), ("-2", 4)])
def test_base_by_name_or_index(backbone, base, features):
    model = classifier_head(backbone, 5, base)

    assert model.get_layer("prob").kernel.shape == (features, 5)
    assert (
        model.get_layer("prob_relu").input
        is backbone.get_layer({"-2": "avg_pool"}.get(base, base)).output
    )


@pytest.mark.parametrize("base", ["conv", "1"])
def test_spatial_base_is_pooled(backbone, images, base):
    model = classifier_head(backbone, 5, base)

    maps = keras.Model(backbone.input, backbone.get_layer("conv").output)(images)
    pooled = keras.Model(model.input, model.get_layer("prob_pool").output)(images)
    np.testing.assert_allclose(numpy(pooled), numpy(maps).mean(axis=(1, 2)), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("architecture", "options", "index", "name"),
    [
        # As in a functional network of tf_keras: input, conv1, …, without pixel normalization.
        ("simple", {"mean": [1, 2, 3]}, "1", "conv1"),
        ("simple", {"mean": [1, 2, 3], "bgr": True}, "1", "conv1"),
        ("simple", {"bgr": True}, "4", "bn2"),
        ("simple", {}, "2", "bn1"),
        ("simple", {"mean": [1, 2, 3], "bgr": True}, "0", "image"),
        ("simple", {"mean": [1, 2, 3]}, "-1", "embedding"),
        ("resnet-32", {"mean": [1, 2, 3]}, "4", "res1-1x"),
    ],
)
def test_indices_count_without_the_normalization_of_pixels(architecture, options, index, name):
    model = outline(build_backbone, architecture, 64, classifier=False, **options)
    assert layer_output(model, index) is model.get_layer(name).output


def test_indices_are_those_of_a_network_without_the_normalization():
    packed = Path(__file__).parents[1] / "data" / "published-resnet-32.h5.xz"
    with h5py.File(io.BytesIO(lzma.decompress(packed.read_bytes()))) as file:
        published = json.loads(file.attrs["model_config"])["config"]["layers"]
    options = {"classifier": False, "mean": [1, 2, 3], "std": [1, 1, 1]}
    model = outline(build_backbone, "resnet-32", 64, **options)
    # Of the layers without weights, others have automatic names.
    own = {layer.name for layer in model.layers if layer.weights or layer.name == "avg_pool"}
    beside_a_shortcut = {"res2-1y", "bn2-1y", "res3-1y", "bn3-1y"}  # either may be counted first
    names = {i: layer["config"]["name"] for i, layer in enumerate(published)}
    shared = {i: name for i, name in names.items() if name in own - beside_a_shortcut}
    assert len(shared) == 2 * 31 + 1 - 4
    for index, name in shared.items():
        assert layer_output(model, str(index)) is model.get_layer(name).output


def test_base_that_does_not_exist(backbone):
    with pytest.raises(UsageError, match=r"no layer 'embeding'; similar names: embedding"):
        classifier_head(backbone, 5, "embeding")
    with pytest.raises(UsageError, match=r"no layer 4: .* 0 to 3 \(or -4 to -1\)"):
        classifier_head(backbone, 5, "4")
    with pytest.raises(UsageError, match=r"no layer -5"):
        classifier_head(backbone, 5, "-5")


def test_outputs_are_float32_in_mixed_precision(images):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        image = keras.Input((None, None, 3))
        x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(image))
        model = classifier_head(embedding_head(keras.Model(image, x), "l2norm"), 5)
    finally:
        keras.config.set_dtype_policy(before)

    assert [output.dtype for output in model.outputs] == ["float32", "float32"]
