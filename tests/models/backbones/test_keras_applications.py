"""The networks that keras.applications still has compute what it computes."""

import keras
import numpy as np
import pytest

import models
from models.backbones.resnet import VARIANTS, residual_network
from models.layers.inputs import image_input
from tests.models.backbones.layer_tables import layers_of


@pytest.fixture(scope="module")
def nasnet():
    return models.build_backbone("nasnet-a", 100, classifier=True)


def assert_same_function(ours, reference):
    theirs = reference(include_top=False, weights=None, input_shape=(32, 32, 3), pooling="avg")
    one, other = (
        {name: row for name, row in layers_of(model, 32)[0].items() if row.weights}
        for model in (ours, theirs)
    )
    assert one.pop("prob").weights.endswith("x100|100")
    assert one == other

    rng = np.random.default_rng(0)
    for layer in theirs.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in layer.weights])
        if layer.weights:
            ours.get_layer(layer.name).set_weights(layer.get_weights())
    images = rng.uniform(-1, 1, (2, 32, 32, 3)).astype(np.float32)
    expected = keras.ops.convert_to_numpy(theirs(images))
    features = keras.Model(ours.input, ours.layers[-1].input)(images)
    atol = 1e-5 * np.abs(expected).max()
    np.testing.assert_allclose(keras.ops.convert_to_numpy(features), expected, 1e-4, atol)


def test_resnet():
    """ResNet-50 of the style of resnet-101 and -152, in a third of their time."""
    image, x = image_input(3)
    variant = VARIANTS["resnet-101"]._replace(blocks=VARIANTS["resnet-50"].blocks)
    model = keras.Model(image, residual_network(x, 100, True, variant=variant))

    assert_same_function(model, keras.applications.ResNet50)


def test_nasnet(nasnet):
    assert nasnet.count_params() == 85_320_118
    assert sum(int(np.prod(w.shape)) for w in nasnet.trainable_weights) == 85_123_450
    assert_same_function(nasnet, keras.applications.NASNetLarge)


@pytest.mark.parametrize("size", [(32, 64), (224, 224), (448, 448)])
def test_nasnet_takes_multiples_of_32_pixels(nasnet, size):
    assert nasnet.compute_output_shape((1, *size, 3)) == (1, 100)


def test_nasnet_takes_no_other_sizes(nasnet):
    with pytest.raises(ValueError, match="shape"):
        nasnet.compute_output_shape((1, 331, 331, 3))
