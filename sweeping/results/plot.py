"""Plots of mean accuracies with standard deviations over a varied quantity, one curve per loss."""

import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evaluation.plots import line_styles
from storage.plots import save_plot
from sweeping.results.table import BEST_TEST, LAST_VAL, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKERS = "osD^vX*"  # with dashes, they distinguish curves without colors
_PANELS = {
    BEST_TEST: "best test accuracy of any epoch",
    LAST_VAL: "accuracy on held-out images, last epoch",
}

Values = Mapping[float, Sequence[float]]
"""Accuracies in [0, 1] by the value of the varied quantity."""


def write_plot(path: Path, rows: Sequence[Row]) -> None:
    """Plot accuracy over learning rate, with one panel per protocol in the rows.

    Args:
        path: the file; its suffix selects the format.
        rows: rows of one data set.

    Raises:
        UserError: the file cannot be written.
    """
    columns = [name for name in _PANELS if any(row[name] is not None for row in rows)]
    panels = {_PANELS[name]: _by_rate(rows, name) for name in columns}
    figure = means(panels, "largest learning rate")
    figure.suptitle(rows[0]["dataset"])
    save_plot(figure, path, dpi=150)


def _by_rate(rows: Sequence[Row], column: str) -> dict[str, Values]:
    values: dict[str, dict[float, list[float]]] = {}
    for row in rows:
        by_rate = values.setdefault(row["loss"], {})
        if row[column] is not None:
            by_rate.setdefault(row["learning_rate"], []).append(row[column])
    return values


def means(
    panels: Mapping[str, Mapping[str, Values]],
    varied: str,
    styles: Mapping[str, Mapping[str, object]] | None = None,
) -> "Figure":
    """Plot means in percent over a logarithmic axis, with standard deviations as error bars.

    Args:
        panels: accuracies by panel title and curve label; single ones have no error bar.
        varied: label of the horizontal axis.
        styles: arguments of ``Axes.plot`` by curve label; None: those of ``curve_styles``.
    """
    figure = new_figure(len(panels))
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for panel, (title, curves) in zip(axes, panels.items(), strict=True):
        looks = styles or dict(zip(curves, curve_styles(len(curves)), strict=True))
        for label, values in curves.items():
            points = [(x, *_statistics(values[x])) for x in sorted(values)]
            if points:
                panel.errorbar(*zip(*points, strict=True), label=label, capsize=3, **looks[label])
        ticks = sorted({x for values in curves.values() for x in values})
        panel.set_xscale("log")
        panel.set_xticks(ticks, [f"{x:g}" for x in ticks])
        panel.minorticks_off()
        finish(panel, varied, title)
    axes[0].legend(frameon=False)
    return figure


def _statistics(values: Sequence[float]) -> tuple[float, float]:
    """Return mean and standard deviation (NaN for a single value) in percent."""
    percent = [100 * value for value in values]
    return statistics.fmean(percent), statistics.stdev(percent) if len(percent) > 1 else math.nan


def new_figure(panels: int) -> "Figure":
    """Return a figure for a row of panels."""
    from matplotlib.figure import Figure

    return Figure(figsize=(6.4 * panels, 4.2), layout="constrained")


def curve_styles(count: int) -> list[dict[str, object]]:
    """Return the arguments of ``Axes.plot`` for each of several curves."""
    styles = zip(line_styles(), _MARKERS * (count // len(_MARKERS) + 1), strict=False)
    return [style | {"marker": marker, "markersize": 5} for style, marker in styles][:count]


def finish(panel: "Axes", x: str, title: str) -> None:
    """Label a panel of accuracies."""
    panel.set(xlabel=x, ylabel="accuracy in percent")
    panel.set_title(title, fontsize="medium")
    panel.grid(alpha=0.3)
    panel.spines[["top", "right"]].set_visible(False)
