"""The small residual networks: widths, and the shortcut against NumPy."""

import keras
import numpy as np
import pytest

import models
from models.backbones.cifar_resnet import shortcut
from tests.models.outlines import outline


def unit_widths(model):
    return [model.get_layer(f"res{unit}-1x").filters for unit in (1, 2, 3)]


@pytest.mark.parametrize(
    ("name", "outputs", "classifier", "widths", "last"),
    [
        ("resnet-32", 100, True, [16, 32, 64], "prob"),
        ("resnet-32", 100, False, [16, 32, 64], "embedding"),
        ("resnet-32", 64, False, [16, 32, 64], "avg_pool"),
        ("resnet-32", 63, False, [16, 32, 64], "embedding"),
        ("resnet-110", 64, False, [16, 32, 64], "avg_pool"),
        ("resnet-110-fc", 100, False, [16, 32, 64], "embedding"),
        ("resnet-110-wfc", 100, False, [32, 64, 128], "embedding"),
    ],
)
def test_channels(name, outputs, classifier, widths, last):
    model = outline(models.build_backbone, name, outputs, classifier=classifier)

    assert unit_widths(model) == widths
    assert model.get_layer("conv0").filters == widths[0]
    assert model.layers[-1].name == last
    assert model.output.shape == (None, outputs)


def test_parameters_of_resnet32_for_64_dimensions():
    # The normalization of the images has none; the published figure counts moving statistics.
    model = outline(models.build_backbone, "resnet-32", 64, classifier=False)
    assert model.count_params() == 466_912


def run_shortcut(x, channels, stride):
    image = keras.Input(x.shape[1:])
    model = keras.Model(image, shortcut(image, channels, stride))
    return keras.ops.convert_to_numpy(model(x))


def test_shortcut_averages_and_pads_half_on_each_side():
    x = np.random.default_rng(0).normal(size=(2, 4, 6, 3)).astype(np.float32)

    averaged = (x[:, ::2, ::2] + x[:, 1::2, ::2] + x[:, ::2, 1::2] + x[:, 1::2, 1::2]) / 4
    expected = np.zeros((2, 2, 3, 8), np.float32)
    expected[..., 2:5] = averaged  # five channels are added: two before, three after
    np.testing.assert_allclose(run_shortcut(x, 8, 2), expected, atol=1e-6)


def test_shortcut_of_an_odd_size_averages_the_pixels_that_exist():
    x = np.arange(9, dtype=np.float32).reshape(1, 3, 3, 1)

    expected = [[[2.0], [3.5]], [[6.5], [8.0]]]
    np.testing.assert_allclose(run_shortcut(x, 1, 2)[0], expected)


def test_shortcut_of_the_same_shape_is_the_input():
    x = np.random.default_rng(0).normal(size=(1, 3, 3, 4)).astype(np.float32)

    np.testing.assert_array_equal(run_shortcut(x, 4, 1), x)
