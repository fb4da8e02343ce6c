"""Plain-11: order of the layers and of activation and normalization."""

import keras
import pytest

import models


@pytest.fixture(scope="module")
def plain():
    return models.build_backbone("simple", 10, classifier=False)


def test_layer_names(plain):
    expected = (
        "image conv1 bn1 conv2 bn2 ap3 conv4 bn4 conv5 bn5 conv6 bn6 ap7 conv8 bn8 conv9 bn9 "
        "conv10 bn10 ap11 conv12 bn12 avg_pool fc14 bn14 embedding"
    )

    assert [layer.name for layer in plain.layers] == expected.split()


def test_activation_comes_before_the_normalization(plain):
    for layer in plain.layers:
        if isinstance(layer, keras.layers.Conv2D) or layer.name == "fc14":
            assert layer.activation is keras.activations.relu
