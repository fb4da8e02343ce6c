"""Confusion matrices, and an order of classes that puts related ones next to each other."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from embeddings.taxonomy.tree import Label, Taxonomy

MOST_GROUPS = 45
"""Maximum number of group names that are legible beside a plot."""

_SAME = 1e-9  # similarities that differ by less are equal


def confusion_matrix(predicted: np.ndarray, labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Count the samples of each class (row) that were classified as each class (column).

    ``predicted`` and ``labels`` are class positions, int (samples,).
    """
    cells = np.bincount(labels * num_classes + predicted, minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes)


def row_shares(confusion: np.ndarray) -> np.ndarray:
    """Divide each row by its sum; rows of classes without samples become NaN."""
    samples = confusion.sum(axis=1, keepdims=True)
    out = np.full(confusion.shape, np.nan)
    return np.divide(confusion, samples, out=out, where=samples > 0)


class Arrangement(NamedTuple):
    """Classes in an order that places related ones next to each other."""

    order: Sequence[int]  # positions of all classes
    # Name and size of each group of related classes, in that order
    groups: Sequence[tuple[str, int]] = ()


def arrange(taxonomy: Taxonomy, labels: Sequence[Label]) -> Arrangement:
    """Group the classes with these labels, mostly in groups large enough to be named."""
    order = taxonomy.arrange(labels)
    ancestors = taxonomy.lowest_common_ancestors(labels)
    groups = _divide(list(order), taxonomy.similarities(labels))
    # The ancestor of a group is that of its first and its last class in the order of the tree.
    named = ((taxonomy.names[ancestors[group[0], group[-1]]], len(group)) for group in groups)
    return Arrangement(tuple(order), tuple(named))


def is_large(size: int, num_classes: int) -> bool:
    """Return whether a group of this size has room for its name beside a plot."""
    return size >= max(2, num_classes / MOST_GROUPS)


def _divide(group: list[int], similarities: np.ndarray) -> list[list[int]]:
    """Split a group recursively while most of it stays in parts that can be named."""
    if len(group) == 1:
        return [group]
    parts = _split(group, similarities)
    if 2 * sum(len(p) for p in parts if is_large(len(p), len(similarities))) < len(group):
        return [group]
    return [smaller for part in parts for smaller in _divide(part, similarities)]


def _split(group: list[int], similarities: np.ndarray) -> list[list[int]]:
    """Split a group wherever neighbors are no more similar than its first and last class."""
    least = similarities[group[0], group[-1]]
    parts = [[group[0]]]
    for position in group[1:]:
        if similarities[parts[-1][0], position] > least + _SAME:
            parts[-1].append(position)
        else:
            parts.append([position])
    return parts
