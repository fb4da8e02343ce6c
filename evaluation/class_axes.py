"""Tick labels for a square matrix of classes: names of classes or of groups of related classes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from evaluation.classification.confusion import is_large

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_NAMES = 60
"""Maximum number of classes that are named individually."""

UNKNOWN = " *"
"""Appended to the names of classes that a model was not trained on."""
EXPLANATION = "* not trained on"


def name_classes(
    axes: "Axes", names: Sequence[str], groups: Sequence[tuple[str, int]] = ()
) -> None:
    """Name the rows and columns of a matrix of classes, as far as there is room.

    Up to 60 classes are named individually. With more, groups of adjacent classes are named or,
    without groups, positions are numbered.

    Args:
        axes: axes that show the matrix as an image.
        names: names of the classes, in the order of the matrix.
        groups: name and size of each group, in the same order.
    """
    if len(groups) > 1:
        _separate_groups(axes, groups)
    if len(names) <= MOST_NAMES:
        _label_ticks(axes, range(len(names)), names)
    elif len(groups) > 1:
        _name_groups(axes, groups)


def _label_ticks(axes: "Axes", positions: Sequence[float], names: Sequence[str]) -> None:
    """Label both axes verbatim, with dollar signs that do not start a formula."""
    axes.set_xticks(positions, names, rotation=90, parse_math=False)
    axes.set_yticks(positions, names, parse_math=False)


def _separate_groups(axes: "Axes", groups: Sequence[tuple[str, int]]) -> None:
    """Draw lines around groups that are large enough to be named."""
    sizes = [size for _, size in groups]
    large = [is_large(size, sum(sizes)) for size in sizes]
    for i, end in enumerate(np.cumsum(sizes)[:-1] - 0.5):
        if large[i] or large[i + 1]:
            axes.axhline(end, color="0.6", linewidth=0.4)
            axes.axvline(end, color="0.6", linewidth=0.4)


def _name_groups(axes: "Axes", groups: Sequence[tuple[str, int]]) -> None:
    sizes = np.array([size for _, size in groups])
    middles = np.cumsum(sizes) - sizes / 2 - 0.5
    shown = [i for i, size in enumerate(sizes) if is_large(size, sizes.sum())]
    _label_ticks(axes, middles[shown], [groups[i][0] for i in shown])
