"""Class embeddings on the vertices of a regular simplex, which are equidistant.

Source: Cevikalp and Saribas, Deep Simplex Classifier for Maximizing the Margin in Both Euclidean
and Angular Spaces, https://arxiv.org/abs/2212.11747.
"""

from collections.abc import Sequence

import numpy as np

from embeddings.class_embeddings import ClassEmbeddings
from embeddings.taxonomy.tree import Label
from utils import UsageError


def simplex(labels: Sequence[Label], dimensions: int) -> ClassEmbeddings:
    """Return the first vertices of a simplex with ``dimensions + 1`` vertices, as published.

    The vectors have unit length and pairwise dot products of -1 / dimensions. With few classes in
    many dimensions, they are almost orthogonal, and their mean is not the origin.

    Args:
        labels: labels of the classes.
        dimensions: dimension of the vectors.

    Raises:
        UsageError: there are more classes than vertices.
    """
    _check_dimensions(labels, dimensions)
    return ClassEmbeddings(_vertices(len(labels), dimensions), tuple(labels))


def simplex_centred(labels: Sequence[Label], dimensions: int) -> ClassEmbeddings:
    """Return all vertices of the simplex with one vertex per class, padded with zeros.

    The vectors have unit length, pairwise dot products of -1 / (classes - 1), and zero mean: no
    equally many unit vectors are farther apart.

    Args:
        labels: labels of the classes.
        dimensions: dimension of the vectors; entries beyond classes - 1 are zeros.

    Raises:
        UsageError: there are fewer dimensions than classes - 1.
    """
    _check_dimensions(labels, dimensions)
    needed = max(len(labels) - 1, 1)
    vectors = np.zeros((len(labels), dimensions), np.float32)
    vectors[:, :needed] = _vertices(len(labels), needed)
    return ClassEmbeddings(vectors, tuple(labels))


SIMPLEXES = {"simplex": simplex, "simplex-centred": simplex_centred}
"""Functions of labels and dimensions, by the name of ``--embedding``."""


def _vertices(count: int, dimensions: int) -> np.ndarray:
    """Return the first vertices, float32 (count, dimensions), of unit length."""
    k = dimensions
    vertices = np.full((count, k), -(1 + np.sqrt(k + 1)) / k**1.5)
    vertices[0] = k**-0.5
    others = np.arange(1, count)
    vertices[others, others - 1] += np.sqrt((k + 1) / k)
    return vertices.astype(np.float32)


def _check_dimensions(labels: Sequence[Label], dimensions: int) -> None:
    if len(labels) > dimensions + 1:
        raise UsageError(
            f"a simplex for {len(labels)} classes needs at least {len(labels) - 1} dimensions, but "
            f"the embedding has {dimensions}: give a larger --embedding_dim"
        )
