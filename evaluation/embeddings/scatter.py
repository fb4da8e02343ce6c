"""Scatter plot of features by class, several models side by side."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evaluation.embeddings.plane import Plane
from evaluation.plots import COLORS, EXPLANATION, MOST_NAMES, UNKNOWN, add_legend
from storage.plots import save_plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKERS = "osD^vP*X<>"  # distinguish classes in black and white
STYLES = len(COLORS) * len(_MARKERS)
"""Number of distinct styles for classes; after that, styles repeat."""

_MOST_SHAPES = 5000  # points that are vector shapes in SVG files; more are rasterized
_CHARACTER = 0.075  # inches, width of a character in the legend


def plot_scatter(
    path: Path,
    planes: Sequence[Plane],
    titles: Sequence[str],
    labels: np.ndarray,
    known: Sequence[np.ndarray],
    class_names: Sequence[str],
) -> None:
    """Draw the features of models side by side; see ``figure_of_features``.

    Raises:
        UserError: the file cannot be written.
    """
    save_plot(figure_of_features(planes, titles, labels, known, class_names), path, dpi=150)


def figure_of_features(
    planes: Sequence[Plane],
    titles: Sequence[str],
    labels: np.ndarray,
    known: Sequence[np.ndarray],
    class_names: Sequence[str],
) -> "Figure":
    """Return a figure with one panel per model; a class has the same style in all of them.

    Classes differ by color and marker; those that a model was not trained on have hollow markers.
    A line leads from the mean of a class to its target.

    Args:
        planes: features of each model, of the same samples.
        titles: titles of the panels.
        labels: class positions of the samples, int (samples,).
        known: which classes each model was trained on, bool (classes,) per model.
        class_names: names of the classes.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.4 * len(planes), 4.6), layout="constrained")
    panels = figure.subplots(1, len(planes), squeeze=False)[0]
    for panel, plane, title, is_known in zip(panels, planes, titles, known, strict=True):
        _draw(panel, plane, labels, is_known)
        panel.set_title(title, fontsize="medium", parse_math=False)
    _add_legend(figure, class_names, known, any(np.isfinite(p.targets).any() for p in planes))
    return figure


def _draw(panel: "Axes", plane: Plane, labels: np.ndarray, known: np.ndarray) -> None:
    size = 14 if len(labels) < 2000 else 7
    as_image = len(labels) > _MOST_SHAPES
    for i, is_known in enumerate(known):
        points = plane.samples[labels == i]
        panel.scatter(*points.T, s=size, rasterized=as_image, **_style(i, is_known))
    for i, (mean, target) in enumerate(zip(plane.means, plane.targets, strict=True)):
        if np.isfinite(target).all():
            panel.plot(*zip(mean, target, strict=True), color="0.35", linewidth=0.8, zorder=3)
            panel.scatter(*target, **_TARGET)
        panel.scatter(*mean, marker=_MARKERS[_marker(i)], **_MEAN)
    panel.set_xlabel(plane.axes[0])
    panel.set_ylabel(plane.axes[1])
    panel.set_aspect("equal", "datalim")
    panel.grid(alpha=0.3)
    panel.spines[["top", "right"]].set_visible(False)


_MEAN = {"s": 60, "color": "white", "edgecolor": "black", "linewidth": 1.3, "zorder": 4}
_TARGET = {"s": 70, "marker": "x", "color": "black", "linewidth": 1.6, "zorder": 5}


def _marker(position: int) -> int:
    """Return the index of the marker, which differs between classes of the same color."""
    return (position % len(COLORS) + position // len(COLORS)) % len(_MARKERS)


def _style(position: int, known: bool) -> dict[str, object]:
    color, marker = COLORS[position % len(COLORS)], _MARKERS[_marker(position)]
    if known:
        return {"marker": marker, "color": color, "edgecolor": "black", "linewidth": 0.2}
    return {"marker": marker, "facecolor": "none", "edgecolor": color, "linewidth": 0.7}


def _add_legend(
    figure: "Figure", class_names: Sequence[str], known: Sequence[np.ndarray], targets: bool
) -> None:
    from matplotlib.lines import Line2D

    anywhere = np.any(known, axis=0)
    names = list(class_names) if len(class_names) <= MOST_NAMES else []
    handles = [_handle(_style(i, anywhere[i])) for i in range(len(names))]
    names = [name if anywhere[i] else name + UNKNOWN for i, name in enumerate(names)]
    plain = {"linestyle": "none", "color": "black", "markersize": 7}
    handles.append(Line2D([], [], marker="o", markerfacecolor="white", **plain))
    names.append("mean of a class")
    if targets:
        handles.append(Line2D([], [], marker="x", **plain))
        names.append("its class embedding")
    if not anywhere.all():
        handles.append(Line2D([], [], linestyle="none"))
        names.append(EXPLANATION)
    columns = max(1, int(figure.get_figwidth() / (_CHARACTER * (max(map(len, names)) + 7))))
    add_legend(figure, handles, names, loc="outside lower center", ncols=columns, fontsize="small")


def _handle(style: dict[str, object]):
    from matplotlib.lines import Line2D

    face = style.get("facecolor", style.get("color"))
    edge = {"markerfacecolor": face, "markeredgecolor": style["edgecolor"]}
    return Line2D([], [], linestyle="none", marker=style["marker"], markersize=6, **edge)
