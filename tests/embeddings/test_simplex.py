"""Class embeddings on a simplex: published values, lengths, dot products, means."""

import numpy as np
import pytest

from embeddings import onehot
from embeddings.simplex import simplex, simplex_centred
from utils import UsageError


def test_published_vertices():
    """Three vertices in the plane, radius 5."""
    vectors = simplex("abc", 2).scaled(5).vectors
    expected = [[3.5355, 3.5355], [1.2941, -4.8296], [-4.8296, 1.2941]]
    np.testing.assert_allclose(vectors, expected, atol=5e-5)
    assert vectors.dtype == np.float32


@pytest.mark.parametrize(("classes", "k"), [(1, 1), (2, 1), (3, 2), (4, 3), (20, 128), (101, 100)])
def test_vertices_are_equally_long_and_equally_far(classes, k):
    vectors = simplex(range(classes), k).scaled(7).vectors.astype(float)
    assert vectors.shape == (classes, k)
    expected = np.where(np.eye(classes, dtype=bool), 49, -49 / k)
    np.testing.assert_allclose(vectors @ vectors.T, expected, atol=2e-4)
    if classes > 1:
        squared = np.square(vectors[0] - vectors[-1]).sum()
        assert squared == pytest.approx(2 * 49 * (1 + 1 / k), rel=1e-5)


def test_few_of_many_vertices_are_the_first_of_all():
    np.testing.assert_array_equal(simplex("abcd", 9).vectors, simplex("abcdefghij", 9).vectors[:4])


@pytest.mark.parametrize(("classes", "k"), [(2, 1), (3, 2), (5, 16), (20, 19)])
def test_the_centred_simplex_is_the_smallest_one(classes, k):
    embeddings = simplex_centred(range(classes), k)
    vectors = embeddings.vectors.astype(float)
    assert vectors.shape == (classes, k)
    np.testing.assert_allclose(vectors.sum(axis=0), 0, atol=1e-5)
    expected = np.where(np.eye(classes, dtype=bool), 1, -1 / (classes - 1))
    np.testing.assert_allclose(vectors @ vectors.T, expected, atol=1e-5)
    assert not vectors[:, classes - 1 :].any()
    assert not embeddings.is_onehot


@pytest.mark.parametrize("kind", [simplex, simplex_centred])
def test_a_simplex_has_one_vertex_more_than_dimensions(kind):
    assert len(kind("abcd", 3).labels) == 4
    with pytest.raises(UsageError, match=r"4 classes .* at least 3 dimensions, .* has 2"):
        kind("abcd", 2)


def test_only_unit_vectors_are_onehot():
    scaled = onehot("ab").scaled(3)
    np.testing.assert_array_equal(scaled.vectors, [[3, 0], [0, 3]])
    assert onehot("ab").scaled(1).is_onehot and not scaled.is_onehot
