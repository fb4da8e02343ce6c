"""Normalization to unit length: values, and gradients at and near zero."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.heads import embedding_head
from models.layers.network import with_plain_layers
from models.layers.unit_normalization import UnitNormalization


def loss_and_gradient(vector, target, jit):
    """The cosine loss of a vector, and its gradient with respect to the vector."""
    layer = UnitNormalization()

    @tf.function(jit_compile=jit)
    def differentiate(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = 1 - tf.reduce_sum(layer(x) * target)
        return loss, tape.gradient(loss, x)

    return (t.numpy() for t in differentiate(tf.constant(vector, tf.float32)[None]))


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("length", [0.0, 1e-8, 1e-7])
def test_vectors_shorter_than_a_millionth_are_scaled_by_a_million(length, jit):
    target = np.array([[0.6, 0.8, 0]], np.float32)
    loss, gradient = loss_and_gradient([length, 0, 0], target, jit)
    np.testing.assert_allclose(loss, 1 - 0.6 * length * 1e6, rtol=1e-6)
    np.testing.assert_allclose(gradient, -1e6 * target, rtol=1e-5)


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("scale", [1e-5, 1.0, 1e5])
def test_gradients_are_those_of_the_cosine(scale, jit):
    x = scale * np.array([1.0, -2.0, 2.0])
    target = np.array([[0.0, 0.6, 0.8]], np.float32)
    norm = np.linalg.norm(x)
    unit = x / norm
    expected = -(target[0] - (unit @ target[0]) * unit) / norm
    loss, gradient = loss_and_gradient(x, target, jit)
    np.testing.assert_allclose(loss, 1 - unit @ target[0], rtol=1e-5)
    np.testing.assert_allclose(gradient[0], expected, rtol=1e-4)


def test_longer_vectors_have_the_bits_of_keras_own_layer_which_is_saved():
    x = np.random.default_rng(0).normal(size=(50, 7)).astype(np.float32)
    inputs = keras.Input((7,))
    model = embedding_head(keras.Model(inputs, keras.layers.Dense(4)(inputs)), "l2norm")
    plain = with_plain_layers(model)
    assert type(model.get_layer("l2norm")) is UnitNormalization
    assert type(plain.get_layer("l2norm")) is keras.layers.UnitNormalization
    np.testing.assert_array_equal(model(x), plain(x))
