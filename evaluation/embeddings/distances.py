"""Distances between the mean features of classes: numbers, and a heat map."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.distance import cdist

from evaluation.classification.confusion import Arrangement
from evaluation.embeddings.embedded import Embedded
from evaluation.plots import EXPLANATION, UNKNOWN, matrix_side, name_classes
from evaluation.tables import write_csv
from storage.files import replacing
from storage.plots import save_plot
from utils import UserError, printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def class_distances(embedded: Embedded, metric: str) -> np.ndarray:
    """Return the distances between the mean features of classes, float64 (classes, classes).

    Args:
        embedded: the features.
        metric: ``"euclidean"``, or ``"cosine"``: 1 - cosine similarity.

    Raises:
        UserError: the cosine is undefined, since the mean features of a class are 0.
    """
    if metric == "cosine" and not embedded.means.any(axis=1).all():
        raise UserError(f"{embedded.name}: mean features of a class are 0, so they have no cosine")
    return np.maximum(cdist(embedded.means, embedded.means, metric), 0)  # rounding gives -1e-16


def write_distances(
    path: Path,
    models: Sequence[Embedded],
    matrices: Sequence[np.ndarray],
    labels: Sequence[int | str],
    class_names: Sequence[str],
) -> None:
    """Write the matrices of several models, all of the same classes.

    A ``.csv`` file has a row per model and class, with a column per class. An ``.npz`` file has the
    arrays ``models``, ``labels``, ``class_names``, ``known`` (models, classes) and ``distances``
    (models, classes, classes).

    Raises:
        UserError: the file cannot be written.
    """
    if path.suffix == ".csv":
        header = ["model", "label", "class", "known", *class_names]
        rows = (
            [one.name, label, name, int(known), *row]
            for one, matrix in zip(models, matrices, strict=True)
            for label, name, known, row in zip(
                labels, class_names, one.known, matrix.tolist(), strict=True
            )
        )
        write_csv(path, header, rows)
        return
    with replacing(path) as temporary:
        np.savez_compressed(
            temporary,
            models=np.array([one.name for one in models]),
            labels=np.array([str(label) for label in labels]),
            class_names=np.array(class_names),
            known=np.stack([one.known for one in models]),
            distances=np.stack(matrices),
        )


def plot_distances(
    path: Path,
    models: Sequence[Embedded],
    matrices: Sequence[np.ndarray],
    metrics: Sequence[str],
    class_names: Sequence[str],
    arrangement: Arrangement | None = None,
) -> None:
    """Draw the matrices side by side; classes that a model was not trained on have an asterisk.

    Raises:
        UserError: the file cannot be written.
    """
    from matplotlib.figure import Figure

    order, groups = arrangement or Arrangement(range(len(class_names)))
    side = matrix_side(len(order))
    # Beside each matrix, room for names and the color bar.
    figure = Figure(figsize=((side + 2.6) * len(models), side + 1.8), layout="constrained")
    panels = figure.subplots(1, len(models), squeeze=False)[0]
    for panel, one, matrix, metric in zip(panels, models, matrices, metrics, strict=True):
        image = panel.imshow(matrix[np.ix_(order, order)], cmap="cividis", interpolation="nearest")
        panel.tick_params(labelsize=7, length=2)
        names = [printable(class_names[i]) + ("" if one.known[i] else UNKNOWN) for i in order]
        name_classes(panel, names, groups)
        panel.set_title(one.name, fontsize="medium", parse_math=False)
        _add_bar(figure, panel, image, metric)
    if not all(one.known.all() for one in models):
        figure.supxlabel(EXPLANATION, fontsize=8)
    save_plot(figure, path, dpi=200)


def _add_bar(figure: "Figure", panel: "Axes", image: object, metric: str) -> None:
    bar = figure.colorbar(image, ax=panel, shrink=0.8)
    bar.ax.tick_params(labelsize=7)
    bar.set_label(f"{metric} distance of class means", fontsize=8)
