"""Reading of batches by Keras under TensorFlow."""

import keras
import numpy as np
import pytest

from training.parallel.backend import untuned_reading

tf = pytest.importorskip("tensorflow")


class Ones(keras.utils.PyDataset):
    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return np.full((2, 3), index, np.float32), np.ones((2, 1), np.float32)


def test_nothing_tunes_the_reading_of_batches(monkeypatch):
    tuned, whole = tf.data.Dataset.from_generator, tf.data.Dataset.with_options
    seen = []

    def with_options(self, options):
        seen.append(options.autotune.enabled)
        return whole(self, options)

    monkeypatch.setattr(tf.data.Dataset, "with_options", with_options)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    with untuned_reading():
        model.fit(Ones(), verbose=0)
    assert seen == [False]
    assert tf.data.Dataset.from_generator is tuned
    model.fit(Ones(), verbose=0)
    assert seen == [False]
