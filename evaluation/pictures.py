"""The confusion matrix as a picture."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from evaluation.classification.confusion import Arrangement, is_large, shares
from storage.plots import save_figure
from utils import UsageError

PICTURE_SUFFIXES = (".png", ".svg", ".pdf")

MOST_NAMES = 60  # beside which every class has its name
_MOST_NUMBERS = 20  # classes, up to which every cell tells its share
_CELL = 0.17  # inches that a class with a name takes
_SIDES = (3.2, 9.0)  # inches, smallest and largest side of the matrix
_DOTS = 200  # per inch: 555 classes get three pixels each
_GAMMA = 0.4  # a single error is still seen


def check_picture_path(option: str, path: Path) -> None:
    """Raises UsageError unless the name of a picture ends in a known format."""
    if path.suffix.lower() not in PICTURE_SUFFIXES:
        formats = ", ".join(PICTURE_SUFFIXES)
        raise UsageError(f"{option} {path}: the name has to end in one of {formats}")


def plot_confusion(
    path: Path,
    confusion: np.ndarray,
    class_names: Sequence[str],
    arrangement: Arrangement | None = None,
    title: str = "",
) -> None:
    """Draws which share of each class's images was taken for which class.

    Up to 60 classes have their names, and up to 20 their shares in percent. Beyond, groups of
    related classes have theirs if an arrangement is given, and positions are numbered if not.

    Args:
        path: the file; its ending chooses the format.
        confusion: (classes, classes), rows are true classes.
        class_names: of each class.
        arrangement: order and groups of the classes; as they are by default.
        title: shown above.

    Raises:
        UserError: the file cannot be written.
    """
    from matplotlib.figure import Figure

    order = list(arrangement.order) if arrangement else list(range(len(confusion)))
    values = shares(confusion)[np.ix_(order, order)]
    side = float(np.clip(_CELL * len(order), *_SIDES))
    figure = Figure(figsize=(side + 1, side), dpi=_DOTS)
    axes = figure.add_subplot()
    image = _draw(axes, values)
    names = [class_names[i] for i in order]
    groups = arrangement.groups if arrangement else ()
    if len(groups) > 1:
        _mark_groups(axes, groups)
    if len(names) <= MOST_NAMES:
        _name_ticks(axes, range(len(names)), names)
    elif len(groups) > 1:
        _name_groups(axes, groups, len(names))
    if len(names) <= _MOST_NUMBERS:
        _write_shares(axes, values)
    axes.set_xlabel("predicted class", fontsize=9)
    axes.set_ylabel("true class", fontsize=9)
    axes.set_title(title, fontsize=10, parse_math=False)
    bar = figure.colorbar(image, ax=axes, fraction=0.04, pad=0.02)
    bar.set_ticks([0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1])
    bar.set_ticklabels(["0", "1 %", "5 %", "10 %", "25 %", "50 %", "75 %", "100 %"], fontsize=7)
    bar.set_label("share of the true class's images", fontsize=8)
    save_figure(figure, path, bbox_inches="tight")


def _draw(axes, values: np.ndarray):
    from matplotlib import colormaps
    from matplotlib.colors import PowerNorm

    colours = colormaps["Blues"].with_extremes(bad="0.85")  # classes without test images
    image = axes.imshow(values, cmap=colours, norm=PowerNorm(_GAMMA, 0, 1), interpolation="nearest")
    axes.tick_params(labelsize=7, length=2)
    return image


def _name_ticks(axes, positions: Sequence[float], names: Sequence[str]) -> None:
    """Names along both axes, as they are: a dollar sign does not begin a formula."""
    axes.set_xticks(positions, names, rotation=90, parse_math=False)
    axes.set_yticks(positions, names, parse_math=False)


def _mark_groups(axes, groups: Sequence[tuple[str, int]]) -> None:
    """Lines around the groups that are large enough to have a name; more would be a thicket."""
    sizes = [size for _, size in groups]
    large = [is_large(size, sum(sizes)) for size in sizes]
    for i, end in enumerate(np.cumsum(sizes)[:-1] - 0.5):
        if large[i] or large[i + 1]:
            axes.axhline(end, color="0.6", linewidth=0.4)
            axes.axvline(end, color="0.6", linewidth=0.4)


def _name_groups(axes, groups: Sequence[tuple[str, int]], num_classes: int) -> None:
    """The names of those groups that are large enough, at their middle."""
    sizes = np.array([size for _, size in groups])
    middles = np.cumsum(sizes) - sizes / 2 - 0.5
    shown = [i for i, size in enumerate(sizes) if is_large(size, num_classes)]
    _name_ticks(axes, middles[shown], [groups[i][0] for i in shown])


def _write_shares(axes, values: np.ndarray) -> None:
    for row, column in np.argwhere(np.nan_to_num(values) >= 0.005):
        share = values[row, column]
        axes.text(
            *(column, row, f"{100 * share:.0f}"),
            ha="center",
            va="center",
            fontsize=6,
            color="white" if share**_GAMMA > 0.6 else "black",
        )
