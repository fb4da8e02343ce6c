"""The recurrent network for documents."""

import numpy as np
import pytest

from models import build_network
from models.initialization import initialize, random_states
from utils import UsageError

WORDS = {"words": 9, "dimensions": 50}


def build(classifier=True):
    return build_network("GRU", 4, classifier=classifier, input_shape=(6,), **WORDS)


def test_its_size():
    model = build()
    # Three gates of 300 units, from 50 numbers and 300 states, with two biases each.
    units = 3 * 300 * (50 + 300 + 2)
    trained = units + 2 * 300 + (300 + 1) * 4
    assert sum(np.prod(weight.shape) for weight in model.trainable_weights) == trained
    assert model.count_params() == trained + 2 * 300 + 9 * 50
    assert [layer.rate for layer in model.layers if hasattr(layer, "rate")] == [0.5, 0.5]
    assert build(classifier=False).output_names == ["embedding"]


def test_the_seed_decides_on_weights_and_dropout_and_vectors_are_given():
    vectors = np.random.default_rng(0).normal(size=(9, 50)).astype(np.float32)
    first, second, other = build(), build(), build()
    for model, seed in ((first, 3), (second, 3), (other, 4)):
        initialize(model, seed, [vectors])
        np.testing.assert_array_equal(model.get_layer("word_vectors").get_weights()[0], vectors)
    states = [[np.asarray(s) for s, _ in random_states(m)] for m in (first, second, other)]
    assert len(states[0]) == 3  # of two dropouts, and Keras' GRU has one that is not used
    np.testing.assert_array_equal(states[0], states[1])
    assert not np.equal(states[0], states[2]).any()
    assert not np.array_equal(states[0][0], states[0][1])
    numbers = np.array([[2, 3, 4, 8, 1, 0]])
    np.testing.assert_array_equal(first(numbers, training=True), second(numbers, training=True))


def test_networks_are_for_images_or_for_documents():
    with pytest.raises(UsageError, match="gru is for documents; the data set has images"):
        build_network("gru", 4, classifier=True, input_shape=(8, 8, 3), channels=3)
    with pytest.raises(UsageError, match="simple is for images; the data set has documents"):
        build_network("simple", 4, classifier=True, input_shape=(6,), **WORDS)
