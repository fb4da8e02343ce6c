"""Fused convolutions against Keras' own."""

import keras
import numpy as np
import pytest

from models.layers.convolution import Conv2D, conv2d

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="only TensorFlow has fused layers"
)

RNG = np.random.default_rng(11)
SHAPE = (3, 7, 6, 4)


def pair(**options):
    """A fused and a plain layer with the same weights."""
    fused = conv2d(5, 3, **options, name="c")
    strides = options.pop("stride", 1)
    plain = keras.layers.Conv2D(5, 3, strides, **options, name="c")
    for layer in (fused, plain):
        layer.build(SHAPE)
    plain.set_weights([RNG.normal(size=w.shape) for w in plain.get_weights()])
    fused.set_weights(plain.get_weights())
    return fused, plain


@pytest.mark.parametrize(
    "options",
    [
        {"padding": "same"},
        {"padding": "same", "stride": 2},
        {"padding": "valid", "stride": 2, "activation": "relu"},
        {"padding": "valid", "use_bias": False},
    ],
    ids=str,
)
def test_outputs_and_gradients_are_those_of_the_plain_layer(options):
    import tensorflow as tf

    layers = pair(**options)
    assert isinstance(layers[0], Conv2D) and not isinstance(layers[1], Conv2D)
    images = tf.constant(RNG.normal(size=SHAPE).astype("float32"))
    found = []
    for layer in layers:
        with tf.GradientTape() as tape:
            tape.watch(images)
            outputs = layer(images)
            loss = tf.reduce_sum(tf.sin(outputs))
        variables = [v.value for v in layer.trainable_variables]
        found.append([outputs, *tape.gradient(loss, [images, *variables])])
    for fused, plain in zip(*found, strict=True):
        np.testing.assert_allclose(fused.numpy(), plain.numpy(), atol=1e-5, rtol=1e-5)


def test_half_precision_keeps_float32_weights():
    layer = conv2d(5, 3, dtype="mixed_bfloat16")
    outputs = layer(RNG.normal(size=SHAPE).astype("float32"))
    assert keras.backend.standardize_dtype(outputs.dtype) == "bfloat16"
    assert {str(w.dtype) for w in layer.weights} == {"float32"}


def test_plain_layers_have_the_same_configuration():
    fused, plain = pair(padding="same", kernel_regularizer=keras.regularizers.L2(1e-3))
    assert Conv2D.plain is keras.layers.Conv2D
    assert fused.get_config() == plain.get_config()


@pytest.mark.parametrize("option", [{"groups": 2}, {"dilation_rate": 2}], ids=str)
def test_options_that_the_fused_layer_lacks_take_the_plain_one(option):
    assert not isinstance(conv2d(4, 3, **option), Conv2D)
