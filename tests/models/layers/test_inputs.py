"""Input and normalization of every network against NumPy."""

import keras
import numpy as np
import pytest

from models.layers.inputs import image_input

MEAN, STD = [120.5, 117.25, 104.0], [59.2, 58.1, 67.8]


@pytest.fixture
def images():
    return np.random.default_rng(1).integers(0, 256, (2, 5, 4, 3), np.uint8)


def apply(images, *arguments, **options):
    image, x = image_input(images.shape[-1], *arguments, **options)
    return keras.ops.convert_to_numpy(keras.Model(image, x)(images))


def test_normalizes_each_channel_of_uint8_images(images):
    expected = (images.astype(float) - MEAN) / STD

    np.testing.assert_allclose(apply(images, MEAN, STD), expected, rtol=1e-5, atol=1e-5)


def test_keeps_the_fractions_of_float_images(images):
    shifted = images + 0.5

    expected = (shifted - MEAN) / STD
    np.testing.assert_allclose(apply(shifted, MEAN, STD), expected, rtol=1e-5, atol=1e-5)


def test_bgr_reverses_after_normalizing_in_rgb_order(images):
    expected = ((images.astype(float) - MEAN) / STD)[..., ::-1]

    np.testing.assert_allclose(apply(images, MEAN, STD, bgr=True), expected, rtol=1e-5, atol=1e-5)


def test_mean_alone_does_not_divide(images):
    np.testing.assert_allclose(apply(images, MEAN), images - np.array(MEAN), rtol=1e-5)


def test_std_alone_does_not_subtract(images):
    np.testing.assert_allclose(apply(images, std=STD), images / np.array(STD), rtol=1e-5)


def test_without_mean_and_std_there_is_no_layer():
    image, x = image_input(3)

    assert x is image


def test_one_channel_has_no_order():
    image, x = image_input(1, bgr=True)

    assert x is image
