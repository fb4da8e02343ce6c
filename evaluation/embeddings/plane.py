"""Features in the plane: two-dimensional ones unchanged, others projected by PCA or t-SNE."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evaluation.tables import write_csv
from utils import UsageError, UserError

if TYPE_CHECKING:
    from evaluation.embeddings.embedded import Embedded


FEATURES = ("feature 1", "feature 2")
"""Names of the axes of two-dimensional features."""


@dataclass(frozen=True, eq=False)
class Plane:
    """Points in the plane."""

    samples: np.ndarray  # float (samples, 2)
    means: np.ndarray  # float (classes, 2), of the samples of each class
    targets: np.ndarray  # float (classes, 2); NaN if there is none
    axes: tuple[str, str]  # names of x and y


def in_plane(
    embedded: "Embedded", projection: str = "pca", perplexity: float = 30, seed: int = 0
) -> Plane:
    """Return two-dimensional features unchanged; project those of higher dimension.

    Principal components are those of the samples. t-SNE (van der Maaten and Hinton, "Visualizing
    data using t-SNE", 2008) embeds class means and targets together with the samples.

    Args:
        embedded: the features.
        projection: one of ``PROJECTIONS``.
        perplexity: perplexity of t-SNE, about the number of neighbors of a point.
        seed: seed of t-SNE, and of PCA if it uses a randomized solver.

    Raises:
        UserError: the features have one dimension.
        UsageError: t-SNE has too few points.
    """
    dimensions = embedded.vectors.shape[1]
    if dimensions < 2:
        raise UserError(f"{embedded.name} has features of one dimension; a plot needs two")
    features = [np.asarray(embedded.vectors, float), embedded.means, embedded.targets]
    if dimensions == 2:
        return Plane(*features, FEATURES)
    if projection == "tsne":
        return Plane(*_tsne(features, perplexity, seed), ("t-SNE 1", "t-SNE 2"))
    return _principal(features, seed)


def by_class(
    plane: Plane, labels: np.ndarray, known: np.ndarray, class_names: Sequence[str]
) -> list[dict[str, object]]:
    """Return the points as one row per class, with values that JSON supports.

    Args:
        plane: the points.
        labels: class positions of the samples, int (samples,).
        known: whether the model was trained on the class, bool (classes,).
        class_names: names of the classes.
    """
    return [
        {
            "class": name,
            "known": int(known[i]),
            "mean": plane.means[i].tolist(),
            # JSON has no NaN.
            "target": plane.targets[i].tolist() if np.isfinite(plane.targets[i]).all() else [],
            "points": plane.samples[labels == i].tolist(),
        }
        for i, name in enumerate(class_names)
    ]


def from_rows(rows: Sequence[Mapping]) -> tuple[Plane, np.ndarray, np.ndarray]:
    """Return two-dimensional features from the rows of ``by_class``.

    Returns:
        The points, class positions of the samples, and whether each class is known.
    """
    samples = np.concatenate([np.reshape(row["points"], (-1, 2)) for row in rows])
    labels = np.repeat(np.arange(len(rows)), [len(row["points"]) for row in rows])
    means = np.array([row["mean"] for row in rows], float)
    targets = np.array([row["target"] or [np.nan] * 2 for row in rows], float)
    known = np.array([row["known"] for row in rows], bool)
    return Plane(samples, means, targets, FEATURES), labels, known


def write_points(path: Path, rows: Sequence[Mapping]) -> None:
    """Write the rows of ``by_class``, with the ``model`` of each, as CSV: one point per row.

    Raises:
        UserError: the file cannot be written.
    """
    points = (
        (row["model"], row["class"], row["known"], kind, *point)
        for row in rows
        for kind, vectors in (
            ("sample", row["points"]),
            ("mean", [row["mean"]]),
            ("target", [row["target"]] if row["target"] else []),
        )
        for point in vectors
    )
    write_csv(path, ("model", "class", "known", "kind", "x", "y"), points)


def _principal(features: list[np.ndarray], seed: int) -> Plane:
    from sklearn.decomposition import PCA

    found = PCA(2, random_state=seed).fit(features[0])
    first, second = (
        f"component {i} ({100 * share:.0f} % of variance)"
        for i, share in enumerate(found.explained_variance_ratio_, start=1)
    )
    # By hand: scikit-learn refuses NaN.
    points = ((each - found.mean_) @ found.components_.T for each in features)
    return Plane(*points, (first, second))


def _tsne(features: list[np.ndarray], perplexity: float, seed: int) -> list[np.ndarray]:
    from sklearn.manifold import TSNE

    points = np.concatenate(features)
    there = np.isfinite(points).all(axis=1)
    if there.sum() <= perplexity:
        raise UsageError(
            f"t-SNE with a perplexity of {perplexity:g} needs more points than that, and there "
            f"are {there.sum()}: {len(features[0])} samples, and means and targets of the classes"
        )
    found = np.full((len(points), 2), np.nan)
    search = TSNE(perplexity=perplexity, random_state=seed, init="pca")
    found[there] = search.fit_transform(points[there].astype(np.float32))
    return np.split(found, np.cumsum([len(each) for each in features[:-1]]))
