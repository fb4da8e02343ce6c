"""Waves of harmonic convolutions against SciPy, and their layers against NumPy."""

import keras
import numpy as np
import pytest
import scipy.fft

from models.files.saved import load_weights, save_model
from models.initialization import initialize
from models.layers.harmonic import HarmonicConv2D, normalized_block, waves
from models.layers.network import Network, with_plain_layers

RNG = np.random.default_rng(5)


def test_waves_of_3x3_pixels():
    found = waves(3)

    np.testing.assert_allclose(found[0], np.full((3, 3), 1 / 9), rtol=1e-6)
    np.testing.assert_allclose(found[1], 3 * [[1 / 6, 0, -1 / 6]], atol=1e-7)
    np.testing.assert_allclose(found[3], np.transpose(3 * [[1 / 6, 0, -1 / 6]]), atol=1e-7)
    corners = [[0.25, 0, -0.25], [0, 0, 0], [-0.25, 0, 0.25]]
    np.testing.assert_allclose(found[4], corners, atol=1e-7)


@pytest.mark.parametrize("size", [3, 7])
def test_waves_are_the_inverse_cosine_transforms_of_single_frequencies(size):
    single = np.eye(size**2).reshape(-1, size, size)
    expected = scipy.fft.idctn(single, axes=(1, 2), norm="ortho")
    expected /= np.abs(expected).sum(axis=(1, 2), keepdims=True)

    np.testing.assert_allclose(waves(size), expected, atol=1e-6)


def test_levels_keep_low_frequencies():
    assert [len(waves(3, level)) for level in (1, 2, 3, 4, 5, None)] == [1, 3, 6, 8, 9, 9]
    np.testing.assert_array_equal(waves(3, 3), waves(3)[[0, 1, 2, 3, 4, 6]])


def convolve(image, kernel, stride):
    """Convolve one image without padding, one place of the kernel at a time."""
    size = kernel.shape[0]
    windows = np.lib.stride_tricks.sliding_window_view(image, (size, size), axis=(0, 1))
    return np.einsum("rcixy,xyio->rco", windows[::stride, ::stride], kernel)


def layer(level=None):
    made = HarmonicConv2D(5, 3, 2, level=level, data_format="channels_last", name="c")
    made.build((None, 7, 7, 4))
    made.coefficients.assign(RNG.normal(size=made.coefficients.shape))
    return made


@pytest.mark.parametrize("level", [None, 2])
def test_the_kernel_is_the_sum_of_weighted_waves(level):
    made = layer(level)
    image = RNG.normal(size=(7, 7, 4)).astype(np.float32)

    (coefficients,) = made.get_weights()
    kernel = np.einsum("bxy,bio->xyio", waves(3, level), coefficients)
    found = keras.ops.convert_to_numpy(made(image[None]))[0]
    np.testing.assert_allclose(found, convolve(image, kernel, 2), atol=1e-5)
    np.testing.assert_allclose(made.plain_weights()[0], kernel, atol=1e-6)
    assert made.plain_shapes == [kernel.shape]


def test_kernels_come_back_from_plain_weights():
    made, other = layer(2), layer(2)
    other.set_plain_weights(made.plain_weights())

    np.testing.assert_allclose(other.get_weights()[0], made.get_weights()[0], atol=1e-6)


def test_of_any_kernel_a_level_keeps_the_nearest_one():
    made, kernel = layer(2), RNG.normal(size=(3, 3, 4, 5))
    made.set_plain_weights([kernel])

    basis = waves(3, 2).reshape(3, 9).T.astype(float)
    nearest = basis @ np.linalg.lstsq(basis, kernel.reshape(9, -1))[0]
    np.testing.assert_allclose(made.plain_weights()[0].reshape(9, -1), nearest, atol=1e-6)


def block_network(level=3):
    image = keras.Input((None, None, 2))
    x = normalized_block(image, 32, 7, 2, "valid", "conv1")
    x = HarmonicConv2D(64, 3, level=level, data_format="channels_last", name="conv2")(x)
    return Network(image, x)


def test_the_first_block_normalizes_the_response_to_every_wave():
    model = block_network()
    bn = model.get_layer("conv1_waves_bn")
    bn.set_weights([RNG.normal(size=98), RNG.uniform(0.5, 2, 98)])  # mean and variance
    block = keras.Model(model.input, model.get_layer("conv1").output)
    image = RNG.normal(size=(15, 15, 2)).astype(np.float32)

    mean, variance = bn.get_weights()
    responses = [
        convolve(image[..., c : c + 1], wave[:, :, None, None], 2)[..., 0]
        for c in range(2)
        for wave in waves(7)
    ]
    normal = (np.stack(responses, axis=-1) - mean) / np.sqrt(variance + 1e-5)
    (kernel,) = model.get_layer("conv1").get_weights()
    found = keras.ops.convert_to_numpy(block(image[None]))[0]
    np.testing.assert_allclose(found, normal @ kernel[0, 0], atol=1e-3)
    assert [tuple(w.shape) for w in block.trainable_weights] == [(1, 1, 98, 32)]


def test_coefficients_are_drawn_by_their_fan_out():
    model = block_network()
    initialize(model, 0)

    (first,), (second,) = (model.get_layer(name).get_weights() for name in ("conv1", "conv2"))
    assert first.std() == pytest.approx(np.sqrt(2 / 32), rel=0.03)
    assert second.std() == pytest.approx(np.sqrt(2 / (64 * 6)), rel=0.02)
    # The waves are no weights to be drawn.
    np.testing.assert_array_equal(
        model.get_layer("conv1_waves").get_weights()[0],
        np.repeat(waves(7).transpose(1, 2, 0)[:, :, None], 2, axis=2),
    )


def test_saved_layers_are_those_of_keras_and_compute_the_same():
    model = block_network()
    initialize(model, 1)
    plain = with_plain_layers(keras.Model(model.input, model.output))

    kinds = keras.layers
    assert [type(x) for x in plain.layers] == [
        *(kinds.InputLayer, kinds.DepthwiseConv2D, kinds.BatchNormalization),
        *(kinds.Conv2D, kinds.Conv2D),
    ]
    image = RNG.normal(size=(1, 15, 15, 2)).astype(np.float32)
    one, other = (keras.ops.convert_to_numpy(network(image)) for network in (model, plain))
    np.testing.assert_allclose(other, one, atol=1e-5)
    assert plain.get_layer("conv1_waves").trainable is False


@pytest.mark.parametrize("level", [2, 3])
def test_a_saved_file_fills_another_network_as_near_as_its_waves_allow(tmp_path, level):
    model, other = block_network(), block_network(level)
    initialize(model, 1)
    initialize(other, 2)
    save_model(model, tmp_path / "model.keras")
    report = load_weights(other, tmp_path / "model.keras")

    assert not report.unfilled and not report.unused
    image = RNG.normal(size=(1, 15, 15, 2)).astype(np.float32)
    one, same = (keras.ops.convert_to_numpy(network(image)) for network in (model, other))
    assert np.allclose(one, same, atol=1e-5) == (level == 3)
    waves_kept = waves(3, level).reshape(-1, 9).T.astype(float)
    kernels = [network.get_layer("conv2").plain_weights()[0] for network in (model, other)]
    wanted, found = (kernel.reshape(9, -1) for kernel in kernels)
    nearest = waves_kept @ np.linalg.lstsq(waves_kept, wanted)[0]
    np.testing.assert_allclose(found, nearest, atol=1e-6)


def test_half_precision_sums_in_float32():
    made = HarmonicConv2D(2, 3, dtype="mixed_bfloat16", name="c")
    outputs = made(RNG.normal(size=(1, 5, 5, 1)).astype("float32"))

    assert keras.backend.standardize_dtype(outputs.dtype) == "bfloat16"
    assert made.plain_weights()[0].dtype == np.float32
