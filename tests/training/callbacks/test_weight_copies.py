"""The moving average of weights and batch statistics, against NumPy."""

import keras
import numpy as np
import pytest

from models.layers.batch_normalization import batch_normalization
from models.layers.network import Network
from training.callbacks.weight_copies import WeightAverage, WeightCopy
from training.optimizer import build_optimizer
from training.parallel import backend


class WeightsOfBatches(keras.callbacks.Callback):
    """The values of all weights after each batch."""

    def __init__(self):
        super().__init__()
        self.values = []

    def on_train_batch_end(self, batch, logs=None):
        backend.sync_variables(self.model)
        self.values.append([weight.copy() for weight in self.model.get_weights()])


def small(accumulate: int = 1) -> keras.Model:
    keras.utils.set_random_seed(3)
    x = keras.Input((3,))
    frozen = keras.layers.Dense(4, trainable=False, name="frozen")(x)
    y = keras.layers.Dense(1, name="last")(batch_normalization("bn")(frozen))
    model = Network(x, y)
    model.compile(build_optimizer(0.3, accumulate=accumulate), "mse")
    model.optimizer.build(model.trainable_variables)
    return model


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("decay", [0.3, 0.999])
def test_the_average_after_each_step(decay, accumulate):
    model, rng = small(accumulate), np.random.default_rng(0)
    seen, average = WeightsOfBatches(), WeightAverage(model, decay)
    expected = [np.float64(weight) for weight in model.get_weights()]
    model.fit(
        *(rng.normal(size=(30, 3)), rng.normal(size=(30, 1))),
        **{"batch_size": 6, "epochs": 2, "verbose": 0, "callbacks": [seen, average]},
    )
    for step, weights in enumerate(seen.values[accumulate - 1 :: accumulate], start=1):
        kept = min(decay, (1 + step) / (10 + step))
        expected = [kept * old + (1 - kept) * w for old, w in zip(expected, weights, strict=True)]
    assert step == 10 // accumulate
    before = model.get_weights()
    with average.in_place():
        found = model.get_weights()
    for value, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(value, wanted, atol=1e-6)
    changed = [not np.allclose(value, w) for value, w in zip(found, before, strict=True)]
    # All but kernel and bias of the frozen layer: gamma, beta, both statistics, kernel and bias.
    assert changed == [False, False, *[True] * 6]
    for value, weight in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, weight)


def test_the_weights_come_back_after_a_failure():
    model = small()
    copy, before = WeightCopy(model), model.get_weights()
    model.set_weights([weight + 1 for weight in before])
    with pytest.raises(KeyboardInterrupt), copy.in_place():
        np.testing.assert_array_equal(model.get_layer("last").kernel, before[6])
        raise KeyboardInterrupt
    for value, weight in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, weight + 1)
