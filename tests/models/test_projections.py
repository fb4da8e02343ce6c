"""Modules between features and embedding: widths, and outputs against NumPy."""

import itertools

import keras
import numpy as np
import pytest

import models
from models.initialization import initialize
from models.layers.convolution import conv2d
from models.layers.dense_maps import dense_on_map
from models.layers.outputs import average_pool
from models.projections import dam_widths, project
from utils import UsageError

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("features", "dimensions", "depth", "widths"),
    [
        (2, 20, 2, [7, 20]),  # the published demonstration
        (512, 12_500, 1, [12_500]),  # faces
        (2, 20, 0, []),
        (2, 20, 4, [4, 8, 15, 20]),
        (64, 8, 2, [8, 8]),
        (5, 5, 1, [5]),
    ],
)
def test_widths(features, dimensions, depth, widths):
    assert dam_widths(features, dimensions, depth) == widths


def small(dense):
    """A backbone of 3 channels, with or without a dense layer on the whole feature map."""
    image = keras.Input((None, None, 2))
    x = conv2d(3, 3, padding="same", name="conv")(image)
    return keras.Model(image, dense_on_map(x, 5, (4, 6)) if dense else average_pool(x))


def weights_of(model, name):
    return [keras.ops.convert_to_numpy(weight) for weight in model.get_layer(name).weights]


def test_dam_is_dense_layers_each_rectified_and_normalized():
    backbone = small(dense=False)
    model = project(backbone, "dam", 20, 2, (4, 6, 2))
    for name in ("dam1_bn", "dam2_bn", "dam1_prelu"):
        layer = model.get_layer(name)
        layer.set_weights([RNG.uniform(0.4, 1.6, weight.shape) for weight in layer.weights])
    images = RNG.normal(size=(5, 4, 6, 2)).astype(np.float32)
    x = keras.ops.convert_to_numpy(backbone(images))
    for name in ("dam1", "dam2"):
        kernel, bias = weights_of(model, name)
        x = x @ kernel + bias
        (slope,) = weights_of(model, f"{name}_prelu")
        assert slope.size == 1
        x = np.where(x > 0, x, slope.item() * x)
        gamma, beta, mean, variance = weights_of(model, f"{name}_bn")
        x = (x - mean) / np.sqrt(variance + 1e-5) * gamma + beta
    kernel, bias = weights_of(model, "embedding")
    found = keras.ops.convert_to_numpy(model(images))
    np.testing.assert_allclose(found, x @ kernel + bias, rtol=1e-3, atol=1e-3)
    shapes = [model.get_layer(name).kernel.shape for name in ("dam1", "dam2", "embedding")]
    assert shapes == [(3, 8), (8, 20), (20, 20)]


def test_the_published_dam_has_162_7_million_parameters():
    widths = [512, *dam_widths(512, 12_500, 1), 12_500]
    dense = sum(a * b + b for a, b in itertools.pairwise(widths))
    assert dense + 1 + 2 * 12_500 == pytest.approx(162.7e6, rel=1e-3)


@pytest.mark.parametrize("dense", [False, True])
def test_linear_is_a_dense_layer_on_the_whole_last_feature_map(dense):
    backbone = small(dense)
    model = project(backbone, "linear", 7, 1, (4, 6, 2))
    assert {"fc", "avg_pool"}.isdisjoint(layer.name for layer in model.layers)
    images = RNG.normal(size=(5, 4, 6, 2)).astype(np.float32)
    maps = keras.Model(backbone.input, backbone.get_layer("conv").output)(images)
    flat = keras.ops.convert_to_numpy(maps).reshape(5, -1)
    kernel, bias = weights_of(model, "embedding")
    expected = flat @ kernel.reshape(-1, 7) + bias
    found = keras.ops.convert_to_numpy(model(images))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_linear_needs_a_feature_map():
    image = keras.Input((2, 2, 3))
    flat = keras.Model(image, keras.layers.Flatten()(image), name="flat")
    with pytest.raises(UsageError, match="--projection linear: flat has no feature maps"):
        project(flat, "linear", 7, 1, (2, 2, 3))


def test_the_linear_projection_of_a_network_has_weights_of_its_own():
    backbone = models.build_network("lenet-2d", None, classifier=False, input_shape=(32, 32, 3))
    model = project(backbone, "linear", 9, 1, (32, 32, 3))
    initialize(model, 0)
    kernel, bias = weights_of(model, "embedding")
    assert kernel.shape == (4, 4, 128, 9)
    for values in (kernel, bias):
        assert 0 < np.abs(values).max() <= (4 * 4 * 128) ** -0.5
