"""Retrieval metrics: hierarchical precision and average precision.

Every image queries all others. Hierarchical precision of the first k retrieved images (Deng, Berg
and Fei-Fei, "Hierarchical semantic indexing for large scale image retrieval", CVPR 2011) is the sum
of their similarities to the class of the query, divided by the largest sum that any k images have:

    HP@k(q) = sum_{i<=k} s(q, r_i) / max over rankings of the same sum.

All metrics are means over the queries (Barz and Denzler, "Hierarchy-based image embeddings for
semantic image retrieval", WACV 2019).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

_BLOCK = 2_000_000  # pairs of images at a time: some 100 MB
_MANTISSA = 53  # bits of the largest integers that float64 represents exactly
_COST_BITS = 40


@dataclass(frozen=True, eq=False)
class Retrieval:
    """Metrics of one set of features, as means over all queries."""

    # HP@k for k = 1 … images - 1, in [0, 1], by the name of the similarity
    precision: dict[str, np.ndarray]
    # Of retrieving images of the query's class, in [0, 1]; NaN if no class has two images. The only
    # image of a class is not a query
    mean_average_precision: float


def evaluate(
    features: np.ndarray,
    labels: np.ndarray,
    similarities: Mapping[str, np.ndarray],
    normalize: bool = True,
) -> Retrieval:
    """Rank all other images for each image by Euclidean distance and evaluate the rankings.

    For normalized features, this is the ranking by cosine similarity. Squared distances are rounded
    to about 2^-40 of the largest possible one, and ties keep the order of the images, so that the
    result does not depend on the rounding of a matrix product.

    Args:
        features: (images, dimensions), finite, at least two images.
        labels: int (images,), class positions.
        similarities: (classes, classes) by name, non-negative. Where even the best k images have
            the similarity 0, HP@k is 1.
        normalize: whether to scale features to unit length (zero vectors stay zero).
    """
    totals = {name: _Totals(matrix, labels) for name, matrix in similarities.items()}
    average_precisions = []
    for label, ranked in _rankings(_scaled(features, normalize), labels):
        for total in totals.values():
            total.add(label, ranked)
        average_precisions.append(_average_precision(ranked == label))
    found = np.concatenate(average_precisions)
    return Retrieval(
        {name: total.precision() for name, total in totals.items()},
        float(found.mean()) if len(found) else float("nan"),
    )


def area(precision: np.ndarray, k: int | None = None) -> float:
    """Return average hierarchical precision: the area under HP@1 … HP@k by trapezoids.

    AHP@k = 1/k * (sum of HP@1 … HP@k - (HP@1 + HP@k) / 2) (Barz and Denzler, WACV 2019). A perfect
    curve reaches (k - 1) / k. Without k, it is the last rank of ``precision``.
    """
    clipped = precision[:k]
    return float((clipped.sum() - (clipped[0] + clipped[-1]) / 2) / len(clipped))


class _Totals:
    """Sums over queries of the similarity at each rank, for one class of queries after another.

    The best possible sums depend on the class only, so one division per class normalizes them.
    """

    def __init__(self, similarity: np.ndarray, labels: np.ndarray):
        self.similarity = np.asarray(similarity, dtype=np.float64)
        self.counts = np.bincount(labels, minlength=len(self.similarity))
        self._label: int | None = None  # current class
        self._sums = np.zeros(len(labels) - 1)  # over queries of that class
        self._total = np.zeros(len(labels) - 1)  # over queries of all classes before it

    def add(self, label: int, ranked: np.ndarray) -> None:
        """Add queries of one class, given the classes that they retrieved, (queries, ranks).

        All queries of a class must come before those of the next one.
        """
        if label != self._label:
            self._finish_class()
            self._label = label
        self._sums += np.take(self.similarity[label], ranked).sum(axis=0)

    def precision(self) -> np.ndarray:
        """Return HP@1, HP@2, …: means over all queries, once all have been added."""
        self._finish_class()
        return self._total / self.counts.sum()

    def _finish_class(self) -> None:
        if self._label is None:
            return
        retrieved, best = np.cumsum(self._sums), np.cumsum(self._best(self._label))
        perfect = np.full_like(best, self.counts[self._label])
        self._total += np.divide(retrieved, best, out=perfect, where=best > 0)
        self._sums[:] = 0
        self._label = None

    def _best(self, label: int) -> np.ndarray:
        """Return the similarities of all other images to one of this class, descending."""
        others = self.counts.copy()
        others[label] -= 1
        order = np.argsort(-self.similarity[label], kind="stable")
        return np.repeat(self.similarity[label][order], others[order])


def _scaled(features: np.ndarray, normalize: bool) -> np.ndarray:
    """Scale features, as float64, such that no squared distance is larger than 1."""
    # Before squaring: float64 would overflow from 1e154 on.
    features = np.asarray(features, dtype=np.float64)
    features = features / (np.abs(features).max() or 1.0)
    lengths = np.linalg.norm(features, axis=1)
    if normalize:
        return features / (2 * np.where(lengths > 0, lengths, 1.0)[:, None])
    return features / (2 * (lengths.max() or 1.0))


def _rankings(features: np.ndarray, labels: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield a class and the ranked classes of some of its queries, (queries, images - 1)."""
    queries = np.argsort(labels, kind="stable")
    squares = np.einsum("nd,nd->n", features, features)
    classes = labels.astype(np.min_scalar_type(int(labels.max())))
    size = max(1, _BLOCK // len(features))
    for start in range(0, len(queries), size):
        block = queries[start : start + size]
        ranked = classes[_nearest(features, squares, block)]
        for label, first, end in _runs(labels[block]):
            yield label, ranked[first:end]


def _runs(labels: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """Yield each label of an ascending list with its start and end."""
    values, starts = np.unique(labels, return_index=True)
    ends = [*starts[1:].tolist(), len(labels)]
    yield from zip(values.tolist(), starts.tolist(), ends, strict=True)


def _nearest(features: np.ndarray, squares: np.ndarray, block: np.ndarray) -> np.ndarray:
    """Return the positions of all other images by their distance to each query of a block.

    Distance and position are packed into one number for sorting: faster than ``argsort``, and ties
    keep the order of positions.
    """
    images = len(features)
    bits = (images - 1).bit_length()
    keys = features[block] @ features.T
    keys *= -2
    keys += squares[block][:, None] + squares
    np.maximum(keys, 0, out=keys)  # rounding may give squared distances below 0
    keys *= 2.0 ** min(_COST_BITS, _MANTISSA - 1 - bits)
    keys += 0.5
    np.floor(keys, out=keys)
    keys *= 2**bits
    keys += np.arange(images)
    keys[np.arange(len(block)), block] = np.inf  # the query itself comes last
    keys.sort(axis=1)
    return keys[:, :-1].astype(np.int64) & (2**bits - 1)


def _average_precision(hits: np.ndarray) -> np.ndarray:
    """Return the mean precision at the ranks of relevant images, (queries,).

    ``hits`` is bool (queries, ranks), with the same number of True in each row; if there are none,
    the result is empty.
    """
    queries = len(hits)
    ranks = np.nonzero(hits)[1].reshape(queries, -1) + 1
    relevant = ranks.shape[1]
    if not relevant:
        return np.zeros(0)
    return (np.arange(1, relevant + 1) / ranks).mean(axis=1)
