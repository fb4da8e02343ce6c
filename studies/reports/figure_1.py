"""The picture of ``figure-1``: the losses over a 2-d feature space.

The values come from the functions that training minimizes; the target is the first of two classes,
(1, 0).
"""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LIMIT = 2.0  # of both features
POINTS = 81  # along each side


def loss_values(features: np.ndarray) -> dict[str, np.ndarray]:
    """Return the loss of each feature vector for the target (1, 0), by the name of the loss.

    Args:
        features: shape (points, 2).
    """
    from keras import ops

    from training.objectives.losses import cross_entropy, negative_correlation, squared_distance

    target = np.tile(np.array([1, 0], "float64"), (len(features), 1))
    losses = {
        "softmax + cross-entropy": cross_entropy(target, ops.softmax(features)),
        "MSE": squared_distance(target, features),
        "cosine loss": negative_correlation(target, ops.normalize(features)),
    }
    return {name: ops.convert_to_numpy(values) for name, values in losses.items()}


def figure_of_losses() -> "Figure":
    """Return a figure with all losses side by side."""
    from matplotlib.figure import Figure

    axis = np.linspace(-LIMIT, LIMIT, POINTS)
    features = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    losses = loss_values(features)
    figure = Figure(figsize=(9, 2.9), layout="constrained")
    for panel, (name, values) in zip(figure.subplots(1, len(losses)), losses.items(), strict=True):
        _draw_panel(panel, axis, values.reshape(POINTS, POINTS), name)
    return figure


def _draw_panel(panel: "Axes", axis: np.ndarray, values: np.ndarray, title: str) -> None:
    levels = np.linspace(0, values.max(), 13)
    heat = panel.contourf(axis, axis, values, levels, cmap="cividis_r")
    panel.contour(axis, axis, values, levels[1:], colors="black", linewidths=0.3)
    panel.annotate("", (1, 0), (0, 0), arrowprops={"arrowstyle": "->", "lw": 1.5})
    panel.set(title=title, aspect="equal", xticks=range(-2, 3), yticks=range(-2, 3))
    panel.figure.colorbar(heat, ax=panel, ticks=levels[::4], format="%.1f", shrink=0.8)
