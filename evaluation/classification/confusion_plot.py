"""The confusion matrix as a plot."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evaluation.classification.confusion import Arrangement, row_shares
from evaluation.plots import matrix_side, name_classes
from storage.plots import save_plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

_MOST_NUMBERS = 20  # maximum number of classes for which cells state their shares
_DOTS = 200  # per inch: three pixels for each of 555 classes
_GAMMA = 0.4  # makes single errors visible
_TICKS = (0, 1, 5, 10, 25, 50, 75, 100)  # ticks of the color bar, in percent


def plot_confusion(
    path: Path,
    confusion: np.ndarray,
    class_names: Sequence[str],
    arrangement: Arrangement | None = None,
    title: str = "",
) -> None:
    """Plot the share of each class's images that was classified as each class.

    Up to 60 classes are named, and up to 20 show their shares in percent. With more, groups of
    related classes are named if an arrangement is given; otherwise, positions are numbered.

    Args:
        path: the file; its suffix selects the format.
        confusion: (classes, classes), rows are true classes.
        class_names: name of each class.
        arrangement: order and groups of the classes; by default the order of ``confusion``.
        title: title of the plot.
    """
    from matplotlib.figure import Figure

    order, groups = arrangement or Arrangement(range(len(confusion)))
    values = row_shares(confusion)[np.ix_(order, order)]
    side = matrix_side(len(order))
    figure = Figure(figsize=(side + 1, side), dpi=_DOTS)
    axes = figure.add_subplot()
    image = _draw(axes, values)
    name_classes(axes, [class_names[i] for i in order], groups)
    if len(order) <= _MOST_NUMBERS:
        _write_shares(axes, values)
    axes.set_xlabel("predicted class", fontsize=9)
    axes.set_ylabel("true class", fontsize=9)
    axes.set_title(title, fontsize=10, parse_math=False)
    bar = figure.colorbar(image, ax=axes, fraction=0.04, pad=0.02)
    bar.set_ticks([tick / 100 for tick in _TICKS])
    bar.set_ticklabels(["0", *(f"{tick} %" for tick in _TICKS[1:])], fontsize=7)
    bar.set_label("share of the true class", fontsize=8)
    save_plot(figure, path, bbox_inches="tight")


def _draw(axes: "Axes", values: np.ndarray) -> "AxesImage":
    from matplotlib import colormaps
    from matplotlib.colors import PowerNorm

    colors = colormaps["Blues"].with_extremes(bad="0.85")  # gray: classes without test images
    image = axes.imshow(values, cmap=colors, norm=PowerNorm(_GAMMA, 0, 1), interpolation="nearest")
    axes.tick_params(labelsize=7, length=2)
    return image


def _write_shares(axes: "Axes", values: np.ndarray) -> None:
    for row, column in np.argwhere(np.nan_to_num(values) >= 0.005):
        share = values[row, column]
        axes.text(
            column,
            row,
            f"{100 * share:.0f}",
            ha="center",
            va="center",
            fontsize=6,
            color="white" if share**_GAMMA > 0.6 else "black",
        )
