"""WRN-28-10: scales of batch normalization."""

import keras
import numpy as np
import pytest

from models.backbones.wide_resnet import Variant, wide_resnet
from models.initialization import initialize
from models.layers.inputs import image_input


def test_scales_of_batch_normalization_are_small_and_of_both_signs():
    image, x = image_input(3)
    model = keras.Model(image, wide_resnet(x, 10, True, variant=Variant(blocks=2, width=10)))

    keras_gammas = gammas(model)
    initialize(model, 0)
    for values in (keras_gammas, gammas(model)):
        assert np.abs(values).max() <= 0.05
        assert values.std() == pytest.approx(0.05 / np.sqrt(3), rel=0.03)
        assert values.mean() == pytest.approx(0, abs=2e-3)


def gammas(model):
    norms = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    return np.concatenate([norm.get_weights()[0] for norm in norms])
