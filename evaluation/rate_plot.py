"""Plots like ROC curves: what is accepted rightly over what is accepted by mistake."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evaluation.line_styles import add_legend, line_styles
from storage.plots import save_plot

PLOT_FORMATS = (".png", ".svg")

Rates = tuple[np.ndarray, np.ndarray]
"""Places and heights of a curve, both descending."""

_SAMPLED = (0, 0.001, 0.002, 0.005, 0.01, 0.02, *(i / 20 for i in range(1, 21)))


def sampled(rates: Rates) -> dict[str, float]:
    """Return the largest height at each of some places, by the place as text."""
    places, heights = (values[::-1] for values in rates)
    found = np.searchsorted(places, _SAMPLED, side="right") - 1
    return {f"{place:g}": float(heights[i]) for place, i in zip(_SAMPLED, found, strict=True)}


@dataclass(frozen=True)
class Panel:
    """One diagram."""

    title: str  # above it
    across: str  # what the places are
    up: str  # what the heights are
    curves: Mapping[str, Rates]  # by name
    log: bool = False  # whether places are drawn on a logarithmic scale, on which 0 has no place


def write_rate_plot(path: Path, panels: Sequence[Panel]) -> None:
    """Draw panels side by side, all with the same names of curves.

    Args:
        path: the file; its ending chooses the format.
        panels: the diagrams.

    Raises:
        UserError: the file cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6 * len(panels), 4.4), layout="constrained")
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        _draw(axes, panel)
    # Below the diagrams, in which curves may be anywhere.
    below = {"loc": "outside lower center", "ncols": max(1, 2 * len(panels) - 1)}
    add_legend(figure, figure.axes[0].get_lines(), list(panels[0].curves), **below)
    save_plot(figure, path, dpi=150)


def _draw(axes, panel: Panel) -> None:
    for (places, heights), style in zip(panel.curves.values(), line_styles(), strict=False):
        axes.plot(places, heights, **style)
    if panel.log:
        axes.set_xscale("log", nonpositive="mask")  # no line towards 0
    axes.set_title(panel.title)
    axes.set_xlabel(panel.across)
    axes.set_ylabel(panel.up)
    axes.set_ylim(-0.02, 1.02)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
