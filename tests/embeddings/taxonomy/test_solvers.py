"""The four methods: dot products and distances, and errors."""

import numpy as np
import pytest

from embeddings.taxonomy.solvers import METHODS, normalized
from tests.embeddings import trees
from utils import UsageError, UserError

CLASSES = np.random.default_rng(0).permutation(60)[:40].tolist()
SIMILAR = trees.similarities(trees.random_edges(60, 1), CLASSES)

# Two classes that are equal: positive semi-definite without full rank.
TWINS = np.array([[1, 1, 0.5, 0], [1, 1, 0.5, 0], [0.5, 0.5, 1, 0], [0, 0, 0, 1.0]])

# The first is like both others, and those are unlike: no vectors have such dot products.
IMPOSSIBLE = np.array([[1, 0.9, 0.9], [0.9, 1, 0], [0.9, 0, 1]])


def forward_substitution(similarities):
    """The published way: each class solves for the dot products with those before it."""
    size = len(similarities)
    vectors = np.zeros((size, size))
    for i in range(size):
        for j in range(i):
            dot = sum(vectors[i, k] * vectors[j, k] for k in range(j))
            vectors[i, j] = (similarities[i, j] - dot) / vectors[j, j]
        vectors[i, i] = (similarities[i, i] - sum(vectors[i, :i] ** 2)) ** 0.5
    return vectors


def pairwise_distances(vectors):
    return np.array([[np.sqrt(sum((a - b) ** 2)) for b in vectors] for a in vectors])


def test_unitsphere():
    vectors = METHODS["unitsphere"].embed(SIMILAR, None)
    np.testing.assert_allclose(vectors, forward_substitution(SIMILAR), rtol=0, atol=1e-13)
    assert vectors.shape == (40, 40) and vectors[0].tolist() == [1] + [0] * 39
    np.testing.assert_array_equal(vectors, np.tril(vectors))
    assert (np.diag(vectors) > 0).all()
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=0, atol=1e-14)


def test_unitsphere_without_full_rank():
    vectors = METHODS["unitsphere"].embed(TWINS, 4)
    np.testing.assert_allclose(np.einsum("ik,jk", vectors, vectors), TWINS, rtol=0, atol=1e-14)
    np.testing.assert_allclose(vectors, np.tril(vectors), rtol=0, atol=1e-14)
    np.testing.assert_allclose(vectors[0], [1, 0, 0, 0], rtol=0, atol=1e-14)


def test_spheres():
    vectors = METHODS["spheres"].embed(SIMILAR, None)
    assert vectors.shape == (40, 39) and not vectors[0].any()
    np.testing.assert_allclose(pairwise_distances(vectors), 1 - SIMILAR, rtol=0, atol=1e-13)


def test_spheres_of_equal_classes():
    vectors = METHODS["spheres"].embed(TWINS, 3)
    np.testing.assert_allclose(pairwise_distances(vectors), 1 - TWINS, rtol=0, atol=1e-7)


def test_mds_in_all_dimensions():
    vectors = METHODS["mds"].embed(SIMILAR, None)
    assert vectors.shape == (40, 39)
    np.testing.assert_allclose(vectors.mean(axis=0), 0, atol=1e-14)
    np.testing.assert_allclose(pairwise_distances(vectors), 1 - SIMILAR, rtol=0, atol=1e-13)


def test_approx_sim_in_all_dimensions():
    vectors = METHODS["approx_sim"].embed(SIMILAR, None)
    assert vectors.shape == (40, 40)
    np.testing.assert_allclose(vectors @ vectors.T, SIMILAR, rtol=0, atol=1e-13)


@pytest.mark.parametrize("num_dim", [1, 7, 39])
def test_approx_sim_is_the_nearest_in_so_many_dimensions(num_dim):
    vectors = METHODS["approx_sim"].embed(SIMILAR, num_dim)
    assert vectors.shape == (40, num_dim)
    # The least possible error of a matrix of this rank: the singular values left out.
    left_out = np.linalg.svd(SIMILAR, compute_uv=False)[num_dim:]
    error = np.sum((vectors @ vectors.T - SIMILAR) ** 2)
    assert error == pytest.approx(np.sum(left_out**2), rel=1e-9)


def test_approx_sim_leaves_out_what_no_vectors_can_have():
    vectors = METHODS["approx_sim"].embed(IMPOSSIBLE, None)
    # The eigenvalues are 1 and 1 ± 0.9 √2: the negative one is left out, and is the error.
    assert vectors.shape == (3, 2)
    error = np.linalg.norm(vectors @ vectors.T - IMPOSSIBLE)
    assert error == pytest.approx(0.9 * 2**0.5 - 1)


@pytest.mark.parametrize("num_dim", [2, 10])
def test_mds_keeps_most_of_the_spread(num_dim):
    vectors = METHODS["mds"].embed(SIMILAR, num_dim)
    whole = METHODS["spheres"].embed(SIMILAR, None)
    # Classical scaling is a principal component analysis of any points that have the distances.
    spread = np.linalg.svd(whole - whole.mean(axis=0), compute_uv=False)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=0), spread[:num_dim], rtol=1e-10)


@pytest.mark.parametrize("method", ["approx_sim", "mds"])
def test_signs_are_fixed(method):
    vectors = METHODS[method].embed(SIMILAR, 5)
    assert (vectors.max(axis=0) >= -vectors.min(axis=0)).all()


@pytest.mark.parametrize("method", METHODS)
def test_deviations_are_those_of_every_pair(method):
    num_dim = 6 if method in ("approx_sim", "mds") else None
    vectors = METHODS[method].embed(SIMILAR, num_dim)
    if method in ("unitsphere", "approx_sim"):
        expected = np.abs(np.einsum("ik,jk", vectors, vectors) - SIMILAR)
    else:
        expected = np.abs(pairwise_distances(vectors) - (1 - SIMILAR))
    found = METHODS[method].deviations(vectors, SIMILAR)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13)
    assert (found.max() > 0.01) == bool(num_dim)


@pytest.mark.parametrize("method", ["unitsphere", "spheres"])
def test_impossible_similarities_are_refused(method):
    with pytest.raises(UserError, match=r"not positive semi-definite .* -0"):
        METHODS[method].embed(IMPOSSIBLE, None)


@pytest.mark.parametrize(
    ("method", "num_dim", "fault"),
    [
        ("unitsphere", 39, "--num_dim 39: unitsphere always has 40 dimensions .* approx_sim"),
        ("unitsphere", 41, "--num_dim 41: unitsphere always has 40"),
        ("spheres", 40, "--num_dim 40: spheres always has 39 dimensions .* mds"),
        ("approx_sim", 41, "--num_dim 41: approx_sim has at most 40 dimensions"),
        ("mds", 40, "--num_dim 40: mds has at most 39 dimensions"),
    ],
)
def test_dimensions_out_of_range_are_refused(method, num_dim, fault):
    with pytest.raises(UsageError, match=fault):
        METHODS[method].embed(SIMILAR, num_dim)


def test_normalized():
    scaled = normalized(np.array([[3, 4.0], [0, 0.5], [-2, 0]]), "abc")
    np.testing.assert_allclose(scaled, [[0.6, 0.8], [0, 1], [-1, 0]])


def test_zero_vectors_cannot_be_normalized():
    with pytest.raises(UsageError, match=r"--norm: zero vectors .* of a$"):
        normalized(METHODS["spheres"].embed(SIMILAR[:3, :3], None), "abc")
