"""Parts that plots share: line styles and legends, curves of rates, axes of class matrices."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evaluation.classification.confusion import is_large
from storage.plots import save_plot
from utils import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Distinguishable with color blindness (Okabe and Ito, 2008), and by dashes in black and white.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_DASHES = ("-", "--", "-.", ":")

Rates = tuple[np.ndarray, np.ndarray]
"""x and y of a curve, both descending."""

_SAMPLED = (0, 0.001, 0.002, 0.005, 0.01, 0.02, *(i / 20 for i in range(1, 21)))

MOST_NAMES = 60
"""Maximum number of classes that are named individually."""

_CELL = 0.17  # inches per named class
_SIDES = (3.2, 9.0)  # minimum and maximum height and width of a matrix, inches

UNKNOWN = " *"
"""Appended to the names of classes that a model was not trained on."""
EXPLANATION = "* not trained on"


def line_styles() -> Iterator[dict[str, str]]:
    """Yield the arguments of ``Axes.plot`` for one curve after another, endlessly."""
    for color, dashes in zip(cycle(COLORS), cycle(_DASHES), strict=False):
        yield {"color": color, "linestyle": dashes}


def add_legend(owner, lines: Sequence, names: Sequence[str], **options) -> None:
    """Label curves verbatim in the legend of an ``Axes`` or ``Figure``.

    Matplotlib 3.9 leaves labels that begin with an underscore out of legends
    (https://github.com/matplotlib/matplotlib/pull/26190), and all versions parse dollar signs as
    formulas, so the text is set after the legend has been laid out.
    """
    numbers = [str(i) for i in range(len(names))]
    legend = owner.legend(lines, numbers, frameon=False, **options)
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_parse_math(False)
        text.set_text(printable(name))


def sampled(rates: Rates) -> dict[str, float]:
    """Return the largest y at each of some x, by x as text."""
    xs, ys = (values[::-1] for values in rates)
    found = np.searchsorted(xs, _SAMPLED, side="right") - 1
    return {f"{x:g}": float(ys[i]) for x, i in zip(_SAMPLED, found, strict=True)}


@dataclass(frozen=True)
class Panel:
    """One diagram."""

    title: str
    across: str  # label of the x-axis
    up: str  # label of the y-axis
    curves: Mapping[str, Rates]  # curves by name
    log: bool = False  # whether the x-axis is logarithmic, so that x = 0 is left out


def write_rate_plot(path: Path, panels: Sequence[Panel]) -> None:
    """Draw panels side by side, with one legend, as all have curves of the same names.

    Args:
        path: the file; its suffix selects the format.
        panels: the diagrams.

    Raises:
        UserError: the file cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6 * len(panels), 4.4), layout="constrained")
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        _draw(axes, panel)
    # Below the panels, since curves may be anywhere in them.
    below = {"loc": "outside lower center", "ncols": max(1, 2 * len(panels) - 1)}
    add_legend(figure, figure.axes[0].get_lines(), list(panels[0].curves), **below)
    save_plot(figure, path, dpi=150)


def _draw(axes, panel: Panel) -> None:
    for (xs, ys), style in zip(panel.curves.values(), line_styles(), strict=False):
        axes.plot(xs, ys, **style)
    if panel.log:
        axes.set_xscale("log", nonpositive="mask")  # no line toward 0
    axes.set_title(panel.title)
    axes.set_xlabel(panel.across)
    axes.set_ylabel(panel.up)
    axes.set_ylim(-0.02, 1.02)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def matrix_side(num_classes: int) -> float:
    """Return the height and width of a matrix of classes, in inches."""
    return float(np.clip(_CELL * num_classes, *_SIDES))


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
