"""Class embeddings on the vertices of a regular simplex, all equally far from each other.

Source: Cevikalp and Saribas, Deep Simplex Classifier for Maximizing the Margin in Both Euclidean
and Angular Spaces, https://arxiv.org/abs/2212.11747.
"""

from collections.abc import Sequence

import numpy as np

from embeddings.class_embeddings import ClassEmbeddings
from embeddings.taxonomy.tree import Label
from utils import UsageError


def simplex(labels: Sequence[Label], dimensions: int) -> ClassEmbeddings:
    """Return the first vertices of the simplex with ``dimensions + 1`` of them, as published.

    They have unit length and dot products of -1 / dimensions with each other. Of few classes in
    many dimensions they are almost orthogonal, and their mean is not the origin.

    Args:
        labels: of the classes.
        dimensions: of the vectors.

    Raises:
        UsageError: there are more classes than vertices.
    """
    _check_dimensions(labels, dimensions)
    return ClassEmbeddings(_vertices(len(labels), dimensions), tuple(labels))


def simplex_centred(labels: Sequence[Label], dimensions: int) -> ClassEmbeddings:
    """Return all vertices of the smallest simplex that has one for each class; others are 0.

    They have unit length, dot products of -1 / (classes - 1) with each other, and their mean is
    the origin: no vectors of so many classes are farther apart.

    Args:
        labels: of the classes.
        dimensions: of the vectors; those beyond classes - 1 are zeros.

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
            f"{len(labels)} classes need a simplex in at least {len(labels) - 1} dimensions, but "
            f"the embedding has {dimensions}: give a larger --embedding_dim"
        )
