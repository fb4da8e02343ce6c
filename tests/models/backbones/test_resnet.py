"""ResNets for ImageNet: names and settings that published weights depend on."""

import keras
import pytest

import models
from models.backbones.resnet import block_labels


@pytest.fixture(scope="module")
def resnet50():
    return models.build_backbone("resnet-50", 10, classifier=False)


@pytest.fixture(scope="module")
def rn18():
    return models.build_backbone("rn18", 10, classifier=False)


def names_with_weights(model):
    return {layer.name for layer in model.layers if layer.weights}


def test_names_of_resnet50(resnet50):
    expected = {"conv1", "bn_conv1", "embedding"}
    for stage, letters in enumerate(["abc", "abcd", "abcdef", "abc"], start=2):
        for letter in letters:
            branches = ["2a", "2b", "2c"] + ["1"] * (letter == "a")
            for kind in ("res", "bn"):
                expected |= {f"{kind}{stage}{letter}_branch{branch}" for branch in branches}

    assert names_with_weights(resnet50) == expected


def test_body_of_resnet50_has_the_published_size(resnet50):
    assert resnet50.count_params() == 23_587_712 + 2049 * 10


def test_convolutions_of_resnet50(resnet50):
    for layer in resnet50.layers:
        if isinstance(layer, keras.layers.Conv2D):
            assert layer.use_bias
            assert layer.kernel_initializer.__class__.__name__ == "HeNormal"
            assert layer.kernel_regularizer is None
            downsampling = layer.name[3:] in {
                f"{stage}a_branch{branch}" for stage in (3, 4, 5) for branch in ("1", "2a")
            }
            expected = 2 if downsampling or layer.name == "conv1" else 1
            assert layer.strides == (expected, expected), layer.name


def test_batch_normalization_of_resnet50(resnet50):
    norms = [x for x in resnet50.layers if isinstance(x, keras.layers.BatchNormalization)]

    assert len(norms) == 53
    assert {(norm.momentum, norm.epsilon) for norm in norms} == {(0.99, 1e-3)}


@pytest.mark.parametrize("size", [64, 65])
def test_stem_pads_three_pixels_and_one(resnet50, size):
    shape = (1, size, size, 3)
    for name, kernel, padding in [("conv1_pad", 7, 3), ("pool1_pad", 3, 1)]:
        shape = resnet50.get_layer(name).compute_output_shape(shape)
        size = size + 2 * padding
        assert shape[1:3] == (size, size)
        after = {"conv1_pad": "conv1", "pool1_pad": "pool1"}[name]
        shape = resnet50.get_layer(after).compute_output_shape(shape)
        size = (size - kernel) // 2 + 1
        assert shape[1:3] == (size, size)


def test_long_stages_are_numbered():
    assert block_labels(2, (3, 4, 23, 3))[:3] == ["4a", "4b1", "4b2"]
    assert block_labels(2, (3, 4, 23, 3))[-1] == "4b22"
    assert block_labels(3, (3, 4, 23, 3)) == ["5a", "5b", "5c"]
    assert block_labels(2, (3, 4, 6, 3)) == ["4a", "4b", "4c", "4d", "4e", "4f"]


def test_names_of_rn18(rn18):
    expected = {"conv1", "bn_conv1", "embedding"}
    for stage in (2, 3, 4, 5):
        for kind in ("res", "bn"):
            expected |= {f"{kind}{stage}{letter}_branch2{part}" for letter in "ab" for part in "ab"}
            expected.add(f"{kind}{stage}a_branch1")

    assert names_with_weights(rn18) == expected


def test_convolutions_of_rn18(rn18):
    for layer in rn18.layers:
        if isinstance(layer, keras.layers.Conv2D):
            assert not layer.use_bias
            assert layer.kernel_initializer.__class__.__name__ == "HeNormal"
            downsampling = layer.name[3:] in {
                f"{stage}a_branch{branch}" for stage in (3, 4, 5) for branch in ("1", "2a")
            }
            expected = 2 if downsampling or layer.name == "conv1" else 1
            assert layer.strides == (expected, expected), layer.name


def test_batch_normalization_of_rn18(rn18):
    norms = [x for x in rn18.layers if isinstance(x, keras.layers.BatchNormalization)]

    assert {norm.epsilon for norm in norms} == {1e-5}


def test_spatial_size_halves_with_every_stage(rn18):
    probe = keras.Model(rn18.input, rn18.get_layer("res5a_branch2a").output)

    assert probe.compute_output_shape((1, 224, 224, 3)) == (1, 7, 7, 512)
