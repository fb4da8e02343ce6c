"""Padding and reordering of channels against NumPy."""

import keras
import numpy as np

from models.layers.channels import pad_channels, reverse_channels


def run(function, channels, images):
    image = keras.Input((None, None, channels))
    return keras.ops.convert_to_numpy(keras.Model(image, function(image))(images))


def test_pad_channels_adds_zeros_to_the_last_axis_only():
    x = np.random.default_rng(2).normal(size=(2, 3, 5, 4)).astype(np.float32)

    padded = run(lambda image: pad_channels(image, 2, 3), 4, x)
    np.testing.assert_array_equal(padded, np.pad(x, ((0, 0), (0, 0), (0, 0), (2, 3))))


def test_reverse_channels_of_any_number():
    x = np.random.default_rng(3).normal(size=(1, 2, 3, 5)).astype(np.float32)

    np.testing.assert_array_equal(run(reverse_channels, 5, x), x[..., ::-1])
