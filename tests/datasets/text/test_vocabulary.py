"""Words of documents and their numbers."""

import string

import keras
import numpy as np
import pytest

from datasets.text.vocabulary import Vocabulary, tokenize


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Oil prices RISE", ["oil", "prices", "rise"]),
        ("Tree-Killing beetle: it's U.S.", ["tree", "killing", "beetle", "it", "s", "u", "s"]),
        ("second\\team\tof\n#36;10", ["second", "team", "of", "36", "10"]),
        ("\u00c4RGER\u00a0caf\u00e9", ["\u00e4rger", "caf\u00e9"]),
        (string.punctuation, []),
        ("", []),
    ],
)
def test_words_are_what_white_space_and_punctuation_separate(text, words):
    assert tokenize(text) == words


def test_numbers_are_those_of_keras_where_punctuation_joins_no_words():
    words = ("bank", "the", "falls", "co")
    texts = ["The (big) Bank, 'Lehman' & Co: falls!  Again?", "the the the"]
    layer = keras.layers.TextVectorization(vocabulary=list(words), output_sequence_length=6)
    expected = keras.ops.convert_to_numpy(layer(texts))
    np.testing.assert_array_equal(Vocabulary(words, 6).encode(texts), expected)


def test_numbers_begin_behind_padding_and_the_unknown_word():
    vocabulary = Vocabulary(("the", "war"), length=4)
    assert vocabulary.size == 4
    encoded = vocabulary.encode(["War! The peace", "", "...", "war the war the war"])
    assert encoded.dtype == np.int32
    np.testing.assert_array_equal(encoded, [[3, 2, 1, 0], [1, 0, 0, 0], [1, 0, 0, 0], [3, 2, 3, 2]])
