"""Fused batch normalization against Keras' own layer."""

import keras
import numpy as np
import pytest

from models import build_backbone
from models.layers.batch_normalization import (
    BatchNormalization,
    batch_normalization,
)
from models.layers.network import with_plain_layers

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="only TensorFlow has the fused kernel"
)

RNG = np.random.default_rng(5)
SHAPE = (6, 4, 3, 5)


@pytest.fixture(params=[1e-3, 1e-5])
def layers(request):
    """A fused and a plain layer with the same weights."""
    options = {"epsilon": request.param}
    pair = batch_normalization("a", **options), keras.layers.BatchNormalization(name="b", **options)
    values = [RNG.uniform(0.5, 2, 5).astype("float32") for _ in range(4)]
    for layer in pair:
        layer.build(SHAPE)
        layer.set_weights(values)
    return pair


def test_there_is_a_fused_layer_to_test(layers):
    assert isinstance(layers[0], BatchNormalization)
    assert not isinstance(layers[1], BatchNormalization)


@pytest.mark.parametrize("training", [False, True])
def test_outputs_and_gradients_are_those_of_the_plain_layer(layers, training):
    import tensorflow as tf

    images = tf.constant(RNG.normal(2, 3, SHAPE).astype("float32"))
    weight = tf.constant(RNG.normal(size=SHAPE).astype("float32"))
    found = []
    for layer in layers:
        with tf.GradientTape() as tape:
            tape.watch(images)
            outputs = layer(images, training=training)
            loss = tf.reduce_sum(weight * outputs)
        variables = [v.value for v in layer.trainable_variables]
        found.append([outputs, *tape.gradient(loss, [images, *variables])])
    for fused, plain in zip(*found, strict=True):
        np.testing.assert_allclose(fused.numpy(), plain.numpy(), atol=1e-5, rtol=1e-5)


def test_moving_statistics_follow_the_mean_and_the_unbiased_variance(layers):
    fused, _ = layers
    before = [w.copy() for w in fused.get_weights()]
    images = RNG.normal(2, 3, SHAPE).astype("float32")
    fused(images, training=True)
    values = images.reshape(-1, 5)
    mean, variance = fused.get_weights()[2:]
    np.testing.assert_allclose(mean, 0.99 * before[2] + 0.01 * values.mean(0), rtol=1e-5)
    np.testing.assert_allclose(variance, 0.99 * before[3] + 0.01 * values.var(0, ddof=1), rtol=1e-5)


def test_frozen_and_inference_change_nothing(layers):
    fused, plain = layers
    images = RNG.normal(2, 3, SHAPE).astype("float32")
    before = [w.copy() for w in fused.get_weights()]
    fused(images, training=False)
    fused.trainable = plain.trainable = False
    frozen = keras.ops.convert_to_numpy(fused(images, training=True))
    np.testing.assert_allclose(frozen, keras.ops.convert_to_numpy(plain(images)), atol=1e-5)
    for old, new in zip(before, fused.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_half_precision_keeps_float32_statistics():
    layer = batch_normalization("a")
    layer.dtype_policy = keras.DTypePolicy("mixed_bfloat16")
    layer.build(SHAPE)
    images = RNG.normal(2, 3, SHAPE).astype("float32")
    outputs = layer(keras.ops.cast(images, "bfloat16"), training=True)
    assert keras.backend.standardize_dtype(outputs.dtype) == "bfloat16"
    expected = 0.01 * images.reshape(-1, 5).mean(0)
    np.testing.assert_allclose(layer.get_weights()[2], expected, atol=2e-4)


def test_vectors_are_normalized_like_images():
    values = RNG.normal(2, 3, (9, 5)).astype("float32")
    fused, plain = batch_normalization("v"), keras.layers.BatchNormalization()
    outputs = [keras.ops.convert_to_numpy(f(values, training=True)) for f in (fused, plain)]
    np.testing.assert_allclose(*outputs, atol=1e-5)
    np.testing.assert_allclose(fused.get_weights()[2], 0.01 * values.mean(0), rtol=1e-4)
    expected = 0.99 + 0.01 * values.var(0, ddof=1)
    np.testing.assert_allclose(fused.get_weights()[3], expected, rtol=1e-5)


@pytest.mark.parametrize("mask", [None, np.arange(4)[None] < [[4], [2], [1]]], ids=["none", "mask"])
def test_sequences_and_masks_are_left_to_the_plain_layer(mask):
    values = RNG.normal(2, 3, (3, 4, 5)).astype("float32")
    fused, plain = batch_normalization("s"), keras.layers.BatchNormalization()
    outputs = [
        keras.ops.convert_to_numpy(f(values, training=True, mask=mask)) for f in (fused, plain)
    ]
    np.testing.assert_allclose(*outputs, atol=1e-5)


@pytest.mark.parametrize("epsilon", [1e-5, 1e-7])
def test_small_epsilons_are_exact(epsilon):
    images = RNG.normal(scale=1e-3, size=SHAPE).astype("float32")
    outputs = batch_normalization("a", epsilon=epsilon)(images, training=True)
    axes = (0, 1, 2)
    expected = (images - images.mean(axes)) / np.sqrt(images.var(axes) + epsilon)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(outputs), expected, rtol=1e-4, atol=1e-6)


def test_saved_networks_have_plain_layers_only():
    model = build_backbone("resnet-32", 5, classifier=True)
    images = RNG.integers(0, 255, (2, 16, 16, 3)).astype("uint8")
    plain = with_plain_layers(model)
    assert any(isinstance(layer, BatchNormalization) for layer in model.layers)
    assert not any(isinstance(layer, BatchNormalization) for layer in plain.layers)
    assert [layer.name for layer in plain.layers] == [layer.name for layer in model.layers]
    same = model.predict(images, verbose=0)
    np.testing.assert_allclose(plain.predict(images, verbose=0), same, atol=1e-5)
