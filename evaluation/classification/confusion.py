"""The confusion matrix, and groups of related classes in it."""

from dataclasses import dataclass

import numpy as np

MOST_GROUPS = 45  # whose names can be read beside a picture
_SAME = 1e-9  # difference up to which similarities are equal


def confusion_matrix(predicted: np.ndarray, labels: np.ndarray, num_classes: int) -> np.ndarray:
    """How many samples of each class (row) were taken for each class (column).

    Args:
        predicted: class positions, shape (samples,).
        labels: true class positions, shape (samples,).
        num_classes: number of classes.

    Returns:
        int64 (num_classes, num_classes).
    """
    cells = np.bincount(labels * num_classes + predicted, minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes)


def shares(confusion: np.ndarray) -> np.ndarray:
    """Each row divided by its sum, in [0, 1]; rows of classes without samples are NaN."""
    samples = confusion.sum(axis=1, keepdims=True)
    out = np.full(confusion.shape, np.nan)
    return np.divide(confusion, samples, out=out, where=samples > 0)


@dataclass(frozen=True)
class Arrangement:
    """Classes in an order that puts related ones side by side.

    Attributes:
        order: positions of all classes.
        groups: name and size of each group of related classes, in that order.
    """

    order: tuple[int, ...]
    groups: tuple[tuple[str, int], ...] = ()


def arrange(similarities: np.ndarray, order: list[int], names: np.ndarray) -> Arrangement:
    """Groups classes by a taxonomy: parts that are large enough to be named stand alone.

    Args:
        similarities: of each two classes by the taxonomy, (classes, classes).
        order: positions of all classes, related ones side by side.
        names: of the lowest common ancestor of each two classes, text (classes, classes).
    """
    groups = _divide(list(order), similarities)
    # Of classes in the order of the tree, the first and the last have the ancestor of all.
    named = tuple((str(names[group[0], group[-1]]), len(group)) for group in groups)
    return Arrangement(tuple(order), named)


def is_large(size: int, num_classes: int) -> bool:
    """Whether a group of so many classes has room for its name beside a picture."""
    return size >= max(2, num_classes / MOST_GROUPS)


def _divide(group: list[int], similarities: np.ndarray) -> list[list[int]]:
    """Splits a group further and further while most of it stays in parts that can be named."""
    if len(group) == 1:
        return [group]
    parts = _split(group, similarities)
    if 2 * sum(len(p) for p in parts if is_large(len(p), len(similarities))) < len(group):
        return [group]
    return [smaller for part in parts for smaller in _divide(part, similarities)]


def _split(group: list[int], similarities: np.ndarray) -> list[list[int]]:
    """The parts whose classes are more alike than the first and the last of the group."""
    least = similarities[group[0], group[-1]]
    parts = [[group[0]]]
    for position in group[1:]:
        if similarities[parts[-1][0], position] > least + _SAME:
            parts[-1].append(position)
        else:
            parts.append([position])
    return parts
