"""Networks that were published in PyTorch: parameters, and outputs against NumPy."""

from functools import partial

import keras
import numpy as np
import pytest

import models
from models.backbones import cifar_resnet_18 as resnet_18
from models.backbones import iresnet, lenet
from models.files.configurations import read_configuration
from models.files.saved import load_weights, save_model
from models.initialization import initialize
from models.layers.inputs import image_input
from models.layers.network import Network
from tests.models.outlines import outline
from utils import UsageError

# Trainable parameters by (outputs, count). PyTorch's count of classifier32 has a batch
# normalization more that is not used (256), that of the iresnets a factor fixed at 1 (512).
COUNTS = {
    "cifar-resnet-18": (100, 11_220_132),
    "lenet-2d": (3, 801_457),
    "classifier32": (10, 999_360 - 256 + 128 * 10),
}


def count(model):
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


def iresnet_count(blocks, widths, side, features):
    """Convolutions, normalizations and slopes, block by block."""
    before = widths[0]
    total = 27 * before + 3 * before
    for width, number in zip(widths, blocks, strict=True):
        for block in range(number):
            total += 2 * before + 9 * before * width + 3 * width + 9 * width * width + 2 * width
            total += before * width + 2 * width if block == 0 else 0
            before = width
    return total + 2 * width + (side**2 * width + 1) * features + features


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_of_classifiers(name):
    outputs, expected = COUNTS[name]
    assert count(outline(models.build_backbone, name, outputs, classifier=True)) == expected


# The rest of the file computes with NumPy what the descriptions of the networks say. Images have
# their channels last, and so do kernels.
def conv(x, layer, stride=1, pad=0):
    kernel, *bias = layer.get_weights()
    x = np.pad(x, ((pad, pad), (pad, pad), (0, 0)))
    size = kernel.shape[0]
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(0, 1))
    windows = windows[::stride, ::stride]  # rows, columns, channels, kernel rows, kernel columns
    return np.einsum("rcixy,xyio->rco", windows, kernel, optimize=True) + sum(bias)


def norm(x, layer):
    *gamma, beta, mean, variance = layer.get_weights()
    return (x - mean) / np.sqrt(variance + 1e-5) * (gamma[0] if gamma else 1) + beta


def leaky(x, slope):
    return np.where(x > 0, x, slope * x)


def prelu(x, layer):
    return leaky(x, np.ravel(layer.get_weights()[0]))


def max_pool(x):
    return x.reshape(x.shape[0] // 2, 2, x.shape[1] // 2, 2, -1).max(axis=(1, 3))


def dense(x, layer):
    kernel, *bias = layer.get_weights()
    return x @ kernel + sum(bias)


def lenet_2d(x, at):
    for stage in "123":
        for part in "12":
            x = conv(x, at(f"conv{stage}_{part}"), pad=2)
            last = stage + part == "22"
            x = leaky(x, 0.1) if last else prelu(x, at(f"prelu{stage}_{part}"))
            x = norm(x, at(f"bn{stage}_{part}"))
        x = max_pool(x)
    kernel, bias = at("fc").get_weights()
    return prelu(x.reshape(-1) @ kernel.reshape(-1, 2) + bias, at("features"))


def classifier32(x, at):
    for stage in "123":
        for part in "123":
            label = f"{stage}_{part}"
            x = conv(x, at(f"conv{label}"), 2 if part == "3" else 1, pad=1)
            x = leaky(norm(x, at(f"bn{label}")), 0.2)
    return x.mean(axis=(0, 1))


def cifar_resnet_18(x, at):
    def step(x, label, stride=1, pad=1):
        return norm(conv(x, at(f"conv{label}"), stride, pad), at(f"bn{label}"))

    x = leaky(step(x, "1"), 0)
    for stage in range(1, 5):
        for block in (1, 2):
            label, stride = f"{stage}_{block}", 2 if stage > 1 and block == 1 else 1
            y = step(leaky(step(x, f"{label}_1", stride), 0), f"{label}_2")
            x = step(x, f"{label}_shortcut", stride, pad=0) if stride > 1 else x
            x = leaky(x + y, 0)
    return x.mean(axis=(0, 1))


def small_iresnet(x, at):
    """One block in each stage."""
    x = prelu(norm(conv(x, at("conv1"), pad=1), at("bn1")), at("prelu1"))
    for stage in "1234":
        label = f"{stage}_1"
        y = conv(norm(x, at(f"bn{label}_0")), at(f"conv{label}_1"), pad=1)
        y = prelu(norm(y, at(f"bn{label}_1")), at(f"prelu{label}"))
        y = norm(conv(y, at(f"conv{label}_2"), 2, pad=1), at(f"bn{label}_2"))
        x = y + norm(conv(x, at(f"conv{label}_shortcut"), 2), at(f"bn{label}_shortcut"))
    x = norm(x, at("bn2"))
    kernel, bias = at("fc").get_weights()
    return norm(x.reshape(-1) @ kernel.reshape(-1, kernel.shape[-1]) + bias, at("features"))


def built(name):
    """The network up to its features, with weights in which nothing is 0 or 1."""
    if name == "iresnet":
        image, x = image_input(3)
        body = partial(iresnet.iresnet, blocks=(1, 1, 1, 1))
        model = Network(image, body(x, None, False))
    else:
        model = models.build_backbone(name, None, classifier=False)
    initialize(model, 3)
    rng = np.random.default_rng(0)
    for layer in model.layers:
        kind = type(layer).__name__
        if kind == "BatchNormalization":
            shapes = [weight.shape for weight in layer.weights]
            layer.set_weights([rng.uniform(0.5, 1.5, shape) for shape in shapes])
        elif kind == "PReLU":
            layer.set_weights([rng.uniform(0.1, 0.6, layer.weights[0].shape)])
    return model


NETWORKS = {
    "lenet-2d": (lenet_2d, 2),
    "classifier32": (classifier32, 128),
    "cifar-resnet-18": (cifar_resnet_18, 12),
    "iresnet": (small_iresnet, 6),
}


@pytest.fixture
def narrow(monkeypatch):
    """The same layers with few channels, and an iresnet for images of 32 pixels."""
    monkeypatch.setattr(lenet, "CHANNELS", (4, 6, 8))
    for module in (resnet_18, iresnet):
        monkeypatch.setattr(module, "CHANNELS", (4, 6, 8, 12))
    monkeypatch.setattr(iresnet, "FEATURES", 6)
    monkeypatch.setattr(iresnet, "SIDE", 2)


@pytest.mark.parametrize("name", NETWORKS)
def test_features(name, narrow, tmp_path):
    computed, dimensions = NETWORKS[name]
    model = built(name)
    image = np.random.default_rng(1).normal(size=(32, 32, 3)).astype(np.float32)
    found = keras.ops.convert_to_numpy(model(image[None]))[0]
    expected = computed(image, model.get_layer)
    assert found.shape == (dimensions,)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())

    path = tmp_path / "model.keras"
    save_model(model, path)
    again = keras.Model.from_config(read_configuration(path))
    assert not load_weights(again, path).missing
    same = keras.ops.convert_to_numpy(again(image[None]))[0]
    np.testing.assert_allclose(same, found, rtol=1e-4, atol=1e-4 * np.abs(found).max())


def test_parameters_of_the_iresnets(narrow):
    """Two formulas of one network; the whole ones take seconds to build."""
    assert count(built("iresnet")) == iresnet_count((1, 1, 1, 1), (4, 6, 8, 12), 2, 6)
    wide = ((64, 128, 256, 512), 7, 512)
    expected = {"iresnet-50": 43_590_848, "iresnet-100": 65_156_160}
    for name, total in expected.items():
        # PyTorch counts the 512 factors that are fixed at 1, too.
        assert iresnet_count(iresnet.VARIANTS[name], *wide) == total - 512


@pytest.mark.parametrize(
    ("name", "dimensions", "last"),
    [
        *[("classifier32", 128, "avg_pool"), ("classifier32", 100, "embedding")],
        *[("lenet-2d", 2, "features"), ("lenet-2d", 3, "embedding"), ("lenet", 7, "features")],
    ],
)
def test_features_of_as_many_dimensions_are_the_embedding(name, dimensions, last):
    model = outline(models.build_backbone, name, dimensions, classifier=False)
    assert model.output_shape == (None, dimensions)
    assert model.layers[-1].name == last


def test_initial_weights_are_those_of_pytorch():
    model = models.build_backbone("classifier32", 10, classifier=True)
    initialize(model, 0)
    kernel = model.get_layer("conv2_2").get_weights()[0]
    assert kernel.std() == pytest.approx(0.05, rel=0.02) and abs(kernel.mean()) < 1e-3
    gammas = np.concatenate([model.get_layer(f"bn2_{i}").get_weights()[0] for i in (1, 2, 3)])
    assert gammas.std() == pytest.approx(0.02, rel=0.2) and abs(gammas.mean() - 1) < 0.01
    (last,) = model.get_layer("prob").get_weights()
    assert np.abs(last).max() == pytest.approx(128**-0.5, rel=0.01)
    lenet_2d = models.build_backbone("lenet-2d", 3, classifier=True)
    initialize(lenet_2d, 0)
    kernel, bias = lenet_2d.get_layer("conv3_2").get_weights()
    for values in (kernel, bias):
        assert np.abs(values).max() == pytest.approx((25 * 128) ** -0.5, rel=0.05)


@pytest.mark.parametrize(("side", "fits"), [(28, True), (40, True), (16, False)])
def test_lenet_takes_images_of_28_pixels_and_more(side, fits):
    def build():
        shape = (side, side, 3)
        return models.build_network("lenet-2d", None, classifier=False, input_shape=shape)

    if fits:
        assert build().compute_output_shape((1, side, side, 3)) == (1, 2)
    else:
        with pytest.raises(UsageError, match="images of 16x16 pixels do not fit lenet-2d"):
            build()
