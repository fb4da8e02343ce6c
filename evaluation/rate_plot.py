"""Plots like ROC curves: rates of correct acceptances over rates of false ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evaluation.line_styles import add_legend, line_styles
from storage.plots import save_plot

Rates = tuple[np.ndarray, np.ndarray]
"""x and y of a curve, both descending."""

_SAMPLED = (0, 0.001, 0.002, 0.005, 0.01, 0.02, *(i / 20 for i in range(1, 21)))


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
