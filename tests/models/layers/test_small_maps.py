"""Convolutions of small maps against NumPy and TensorFlow's own."""

import keras
import numpy as np
import pytest

from models import build_network
from models.initialization import initialize
from models.layers import small_maps
from models.layers.convolution import conv2d
from models.layers.harmonic import HarmonicConv2D

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="only under TensorFlow"
)

RNG = np.random.default_rng(7)


@pytest.fixture(autouse=True)
def on_cpu(monkeypatch):
    """Decide as on a CPU, on any machine."""
    monkeypatch.setattr(small_maps, "_on_cpu", lambda: True)


def convolved(images, kernel, strides, padding):
    """Every output by itself, from explicitly padded images."""
    padded, outputs = images, []
    for axis in (0, 1):
        side, size, stride = images.shape[1 + axis], kernel.shape[axis], strides[axis]
        if padding == "valid":
            outputs.append((side - size) // stride + 1)
            continue
        outputs.append(-(-side // stride))
        missing = max(stride * (outputs[-1] - 1) + size - side, 0)
        around = [(0, 0)] * 4
        around[1 + axis] = (missing // 2, missing - missing // 2)
        padded = np.pad(padded, around)
    found = np.zeros((len(images), *outputs, kernel.shape[3]))
    for y, x in np.ndindex(*outputs):
        top, left = y * strides[0], x * strides[1]
        window = padded[:, top : top + kernel.shape[0], left : left + kernel.shape[1]]
        found[:, y, x] = np.tensordot(window, kernel, 3)
    return found


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (2, 1)], ids=str)
@pytest.mark.parametrize("size", [(1, 1), (3, 3), (2, 3)], ids=str)
@pytest.mark.parametrize("sides", [(4, 4), (3, 5), (8, 7)], ids=str)
def test_products_are_convolutions(sides, size, strides, padding):
    images = RNG.normal(size=(3, *sides, 4)).astype("float32")
    kernel = RNG.normal(size=(*size, 4, 5)).astype("float32")

    found = small_maps.convolve(keras.ops.convert_to_tensor(images), kernel, strides, padding)
    np.testing.assert_allclose(found, convolved(images, kernel, strides, padding), atol=1e-5)


def test_gradients_are_those_of_the_convolution():
    import tensorflow as tf

    images = tf.constant(RNG.normal(size=(3, 4, 4, 6)).astype("float32"))
    kernel = tf.constant(RNG.normal(size=(3, 3, 6, 5)).astype("float32"))
    found = []
    for convolve in (
        lambda: small_maps.convolve(images, kernel, (2, 2), "same"),
        lambda: tf.nn.conv2d(images, kernel, 2, "SAME"),
    ):
        with tf.GradientTape() as tape:
            tape.watch([images, kernel])
            loss = tf.reduce_sum(tf.sin(convolve()))
        found.append(tape.gradient(loss, [images, kernel]))
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize(
    ("sides", "stride", "small"),
    [
        ((2, 2), 1, True),
        ((4, 4), 1, True),
        ((8, 8), 2, True),
        ((8, 8), 1, False),
        ((9, 9), 4, False),
        ((None, None), 1, False),
    ],
    ids=str,
)
def test_only_maps_of_known_and_few_pixels_are_small(sides, stride, small):
    assert small_maps.is_small(sides, (3, 3), (stride, stride), "same") == small


def operations(layer, batch):
    """Names of the operations of a layer's graph."""
    import tensorflow as tf

    graph = tf.function(layer).get_concrete_function(tf.TensorSpec(batch)).graph
    return {operation.type for operation in graph.get_operations()}


def test_gpus_convolve_small_maps_too(monkeypatch):
    monkeypatch.setattr(small_maps, "_on_cpu", lambda: False)
    assert not small_maps.is_small((2, 2), (3, 3), (1, 1), "same")


@pytest.mark.parametrize("kind", ["ordinary", "harmonic"])
def test_layers_take_the_faster_way(kind):
    layer = (
        conv2d(5, 3, use_bias=False)
        if kind == "ordinary"
        else HarmonicConv2D(5, 3, data_format="channels_last")
    )
    layer.build((None, None, None, 4))

    assert "Conv2D" not in operations(layer, (None, 4, 4, 4))
    assert "Conv2D" in operations(layer, (None, 12, 12, 4))


def test_a_network_computes_the_same_in_both_ways(monkeypatch):
    network = build_network("rn18", 7, classifier=False, input_shape=(64, 64, 3), channels=3)
    initialize(network, seed=0)
    images = RNG.integers(0, 256, (2, 64, 64, 3)).astype("uint8")
    outputs = []
    for most in (small_maps.MOST_INPUTS, 0):
        monkeypatch.setattr(small_maps, "MOST_INPUTS", most)
        outputs.append(keras.ops.convert_to_numpy(network(images)))
    np.testing.assert_allclose(*outputs, rtol=0, atol=1e-5 * np.abs(outputs[1]).max())
