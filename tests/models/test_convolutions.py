"""Full and harmonic convolutions of the residual backbones: sizes of maps and parameters."""

from functools import partial

import keras
import numpy as np
import pytest
import scipy.signal

import models
from models.backbones import (
    cifar_resnet,
    cifar_resnet_18,
    imagenet_resnet,
    iresnet,
    pyramidnet,
    resnet,
    wide_resnet,
)
from models.layers.convolver import Convolver
from models.layers.inputs import image_input
from tests.models.outlines import outline
from utils import UsageError

FULL, HARMONIC = Convolver(full=True), Convolver(harmonic=True)


def small(body, conv=None, channels=3):
    def build():
        image, x = image_input(channels)
        return keras.Model(image, body(x, 10, True, *([conv] if conv else [])))

    return outline(build)


def trainable(model):
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


def sizes(model, side):
    """Pixels per side after the first pooling and after every block."""
    kinds = (keras.layers.MaxPooling2D, keras.layers.Add)
    outputs = [layer.output for layer in model.layers if isinstance(layer, kinds)]
    shapes = keras.Model(model.input, outputs).compute_output_shape((1, side, side, 3))
    return [shape[1] for shape in shapes]


BOTTLENECKS = imagenet_resnet.VARIANTS["resnet-50-v1.5"]
FULL_SIZES = {
    # 224 pixels: 115 after the first convolution; every 3x3 one adds 2, with a stride 1.
    "resnet-50-v1.5": (
        *(partial(resnet.residual_network, variant=BOTTLENECKS), 224),
        [57, *(59, 61, 63), *(33, 35, 37, 39), *(21, 23, 25, 27, 29, 31), *(17, 19, 21)],
    ),
    # The stride before: half of 63 is 32, then 2 more.
    "resnet-50": (
        partial(
            resnet.residual_network,
            variant=resnet.VARIANTS["resnet-50"]._replace(blocks=(3, 2, 1, 1)),
        ),
        *(224, [57, *(59, 61, 63), *(34, 36), 20, 12]),
    ),
    "rn18": (
        partial(resnet.residual_network, variant=imagenet_resnet.VARIANTS["rn18"]),
        *(224, [57, *(61, 65), *(36, 40), *(23, 27), *(17, 21)]),
    ),
    "cifar-resnet-18": (
        cifar_resnet_18.cifar_resnet_18,
        *(32, [*(38, 42), *(24, 28), *(17, 21), *(14, 18)]),
    ),
    "wrn-16-1": (
        partial(wide_resnet.wide_resnet, variant=wide_resnet.Variant(2, 1)),
        *(32, [*(38, 42), *(24, 28), *(17, 21)]),
    ),
    "resnet-14": (
        partial(cifar_resnet.cifar_resnet, variant=cifar_resnet.Variant(2, (4, 8, 8), dense=True)),
        *(32, [*(38, 42), *(24, 28), *(17, 21)]),
    ),
    "pyramidnet-basic": (
        partial(pyramidnet.pyramidnet, variant=pyramidnet.Variant(pyramidnet.basic, 2, 12)),
        *(32, [*(38, 42), *(24, 28), *(17, 21)]),
    ),
    "pyramidnet-bottleneck": (
        partial(pyramidnet.pyramidnet, variant=pyramidnet.Variant(pyramidnet.bottleneck, 2, 12)),
        *(32, [*(36, 38), *(20, 22), *(12, 14)]),
    ),
}

# Trainable parameters with ten outputs; torchvision counts 25,557,032 with 1,000.
TRAINABLE = {"resnet-50-v1.5": 25_557_032 - 2049 * 990}


@pytest.mark.parametrize("name", FULL_SIZES)
def test_sizes_of_full_convolutions(name):
    body, side, expected = FULL_SIZES[name]
    model = small(body, FULL)

    assert sizes(model, side) == expected
    assert trainable(model) == TRAINABLE.get(name, trainable(model))
    model.compute_output_shape((1, side + 1, side + 1, 3))  # shortcuts fit odd sizes, too


@pytest.mark.parametrize("name", ["resnet-14", "cifar-resnet-18", "wrn-16-1"])
def test_full_convolutions_have_the_weights_of_ordinary_ones(name):
    body, *_ = FULL_SIZES[name]
    model, ordinary = small(body, FULL), small(body)
    assert {(w.path, tuple(w.shape)) for w in model.weights} == {
        (w.path, tuple(w.shape)) for w in ordinary.weights
    }


def test_a_full_convolution_is_that_of_scipy():
    image = keras.Input((6, 5, 1))
    model = keras.Model(image, FULL(image, 1, 3, name="c", use_bias=False))
    pixels = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)

    kernel = model.get_layer("c").get_weights()[0][:, :, 0, 0]
    expected = scipy.signal.correlate2d(pixels, kernel, mode="full")
    found = keras.ops.convert_to_numpy(model(pixels[None, :, :, None]))[0, :, :, 0]
    np.testing.assert_allclose(found, expected, atol=1e-5)


# Trainable parameters with ten outputs, and how many ordinary kernels of 3x3 there are but the
# first one, by the product of their channels.
COUNTS = {
    "wrn-16-8": (
        partial(wide_resnet.wide_resnet, variant=wide_resnet.VARIANTS["wrn-16-8"]),
        10_961_370,  # as the repository of GEM's network prints
        16 * 128 + 3 * 128**2 + 128 * 256 + 3 * 256**2 + 256 * 512 + 3 * 512**2,
    ),
    "resnet-50-v1.5": (
        partial(resnet.residual_network, variant=BOTTLENECKS._replace(blocks=(1, 1, 1, 1))),
        None,
        64**2 + 128**2 + 256**2 + 512**2,
    ),
    "iresnet": (
        partial(iresnet.iresnet, blocks=(1, 1, 1, 1)),
        None,
        2 * 64**2 + 64 * 128 + 128**2 + 128 * 256 + 256**2 + 256 * 512 + 512**2,
    ),
}


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_of_harmonic_networks(name):
    body, expected, channels = COUNTS[name]
    ordinary = trainable(small(body))

    assert expected is None or ordinary == expected
    # As many coefficients as pixels of a kernel; no network here has biases.
    assert trainable(small(body, HARMONIC)) == ordinary
    level = Convolver(harmonic=True, level=2)
    assert trainable(small(body, level)) == ordinary - (9 - 3) * channels


def test_strides_of_wrn_16_8_begin_at_the_first_pixel_as_in_pytorch():
    model = small(COUNTS["wrn-16-8"][0])
    strided, shortcut = model.get_layer("conv2d_7"), model.get_layer("conv2d_9")
    assert strided.strides == shortcut.strides == (2, 2)
    both = keras.Model(model.input, [shortcut.input, strided.output])
    pixels = np.random.default_rng(0).normal(size=(1, 8, 8, 3)).astype(np.float32)

    x, found = (keras.ops.convert_to_numpy(y)[0] for y in both(pixels))
    kernel = strided.get_weights()[0][..., 5]
    channels = [
        scipy.signal.correlate2d(x[..., i], kernel[..., i], "same") for i in range(x.shape[-1])
    ]
    np.testing.assert_allclose(found[..., 5], sum(channels)[::2, ::2], atol=1e-4)


@pytest.mark.parametrize("conv", [None, FULL, HARMONIC], ids=repr)
def test_the_first_convolution_takes_images_of_many_bands(conv):
    body, *_ = COUNTS["resnet-50-v1.5"]
    more = (13 - 3) * 7 * 7 * 64

    assert trainable(small(body, conv, channels=13)) == trainable(small(body, conv)) + more


def test_harmonic_convolutions_have_no_biases():
    variant = cifar_resnet.Variant(1, (4, 8, 8), dense=True)
    body = partial(cifar_resnet.cifar_resnet, variant=variant)

    biases = 4 + 2 * (4 + 8 + 8)
    assert trainable(small(body, HARMONIC)) == trainable(small(body)) - biases


def test_dense_layers_on_maps_are_never_harmonic():
    model = small(partial(iresnet.iresnet, blocks=(1, 1, 1, 1)), HARMONIC)

    assert tuple(model.get_layer("fc").kernel.shape) == (7, 7, 512, 512)


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("simple", (True, False, None), "--fconv: simple is not a residual network"),
        ("gru", (False, True, None), "--harmonic: gru is not a residual network"),
        ("iresnet-50", (True, False, None), "--fconv: iresnet-50 needs a last feature map"),
        ("rn18", (True, False, 2), "--harmonic_level 2 needs --harmonic"),
        ("rn18", (False, True, 6), "--harmonic_level 6: levels are 1 to 5"),
    ],
)
def test_refused(name, options, told):
    with pytest.raises(UsageError, match=told):
        models.check_convolutions(name, *options)
