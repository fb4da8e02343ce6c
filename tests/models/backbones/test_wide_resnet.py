"""WRN-28-10: what its name promises."""

import keras
import pytest

import models


@pytest.fixture(scope="module")
def wrn():
    return models.build_backbone("wrn-28-10", 10, classifier=True)


def convolutions(model):
    return {x.name: x for x in model.layers if isinstance(x, keras.layers.Conv2D)}


def test_depth_and_width(wrn):
    # The authors count 6 n + 4 layers: these 25 convolutions and the three projections.
    assert sum(x.kernel_size == (3, 3) for x in convolutions(wrn).values()) == 25
    assert sum(x.kernel_size == (1, 1) for x in convolutions(wrn).values()) == 3
    assert [convolutions(wrn)[f"res{unit}-4y"].filters for unit in (1, 2, 3)] == [160, 320, 640]
    assert convolutions(wrn)["conv0"].filters == 16


def test_convolutions(wrn):
    strided = {name for name, layer in convolutions(wrn).items() if layer.strides == (2, 2)}

    assert strided == {"res2-1x", "res2-1s", "res3-1x", "res3-1s"}
    for layer in [*convolutions(wrn).values(), wrn.get_layer("prob")]:
        assert float(layer.kernel_regularizer.l2) == pytest.approx(5e-4)
    assert not any(layer.use_bias for layer in convolutions(wrn).values())


def test_normalizes_before_the_first_convolution_of_a_block(wrn):
    def source(layer):
        return layer.input._keras_history.operation

    first = wrn.get_layer("res2-2x")
    assert isinstance(source(first), keras.layers.ReLU)
    assert source(source(first)).name == "bn2-2x"
    # A projection takes the normalized input as well.
    assert source(wrn.get_layer("res2-1s")) is source(wrn.get_layer("res2-1x"))
