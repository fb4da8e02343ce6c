"""ResNets for ImageNet: padding, names and sizes beyond the layer tables."""

import keras
import pytest

import models
from models.backbones.imagenet_resnet import middle_numbered
from models.backbones.resnet import block_numbered, lettered, numbered
from tests.models.outlines import outline


@pytest.fixture(scope="module")
def resnet50():
    return outline(models.build_backbone, "resnet-50", 10, classifier=False)


@pytest.fixture(scope="module")
def rn18():
    return outline(models.build_backbone, "rn18", 10, classifier=False)


def test_body_of_resnet50_has_the_published_size(resnet50):
    assert resnet50.count_params() == 23_587_712 + 2049 * 10


def sizes_of_stem(model, size, names):
    """Pixels per side after each of these layers."""
    shape, sizes = (1, size, size, 3), []
    for name in names:
        shape = model.get_layer(name).compute_output_shape(shape)
        sizes.append(shape[1])
    return sizes


@pytest.mark.parametrize(
    ("size", "sizes"), [(64, [70, 32, 34, 16]), (65, [71, 33, 35, 17]), (66, [72, 33, 35, 17])]
)
def test_stem_pads_three_pixels_and_one(resnet50, size, sizes):
    names = ["conv1_pad", "conv1", "pool1_pad", "pool1"]

    assert sizes_of_stem(resnet50, size, names) == sizes


@pytest.mark.parametrize(("size", "sizes"), [(64, [32, 16]), (65, [33, 17]), (66, [33, 17])])
def test_stem_of_keras_resnet_pads_as_tensorflow_does(rn18, size, sizes):
    names = ["conv1", "pool1"]

    assert sizes_of_stem(rn18, size, names) == sizes
    assert {rn18.get_layer(name).padding for name in names} == {"same"}


@pytest.mark.parametrize(
    ("label", "names"),
    [
        (lettered, ["2a", "2b", "4a", "4f"]),
        (numbered, ["2a", "2b1", "4a", "4b5"]),
        (middle_numbered, ["2a", "2b", "4a", "4b5"]),
        (block_numbered, ["conv2_block1", "conv2_block2", "conv4_block1", "conv4_block6"]),
    ],
)
def test_names_of_blocks(label, names):
    assert [label(2, 0), label(2, 1), label(4, 0), label(4, 5)] == names


def test_spatial_size_halves_with_every_stage(rn18):
    probe = keras.Model(rn18.input, rn18.get_layer("res5a_branch2a").output)

    assert probe.compute_output_shape((1, 224, 224, 3)) == (1, 7, 7, 512)
