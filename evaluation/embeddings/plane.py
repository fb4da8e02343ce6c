"""Features in the plane: two dimensions as they are, more of them by PCA or t-SNE."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from utils import UsageError, UserError

if TYPE_CHECKING:
    from evaluation.embeddings.embedded import Embedded


@dataclass(frozen=True, eq=False)
class Plane:
    """Points in the plane."""

    samples: np.ndarray  # float (samples, 2)
    means: np.ndarray  # float (classes, 2), of the samples of each class
    targets: np.ndarray  # float (classes, 2); NaN where there is none
    axes: tuple[str, str]  # what they are


def in_plane(
    embedded: "Embedded", projection: str = "pca", perplexity: float = 30, seed: int = 0
) -> Plane:
    """Draw features of two dimensions as they are, those of more in a projection.

    Principal components are those of the samples. t-SNE (van der Maaten and Hinton, "Visualizing
    data using t-SNE", 2008) places class means and targets among the samples, as further points.

    Args:
        embedded: the features.
        projection: one of ``PROJECTIONS``.
        perplexity: of t-SNE, about the number of neighbors of a point.
        seed: of t-SNE, and of PCA where that takes random vectors.

    Raises:
        UserError: the features have one dimension.
        UsageError: t-SNE has too few points.
    """
    dimensions = embedded.vectors.shape[1]
    if dimensions < 2:
        raise UserError(f"{embedded.name} has features of one dimension, which make no plane")
    places = [np.asarray(embedded.vectors, float), embedded.means, embedded.targets]
    if dimensions == 2:
        return Plane(*places, ("feature 1", "feature 2"))
    if projection == "tsne":
        return Plane(*_tsne(places, perplexity, seed), ("t-SNE 1", "t-SNE 2"))
    return _principal(places, seed)


def _principal(places: list[np.ndarray], seed: int) -> Plane:
    from sklearn.decomposition import PCA

    found = PCA(2, random_state=seed).fit(places[0])
    first, second = (
        f"component {i} ({100 * share:.0f} % of variance)"
        for i, share in enumerate(found.explained_variance_ratio_, start=1)
    )
    # By hand: scikit-learn refuses NaN.
    points = ((place - found.mean_) @ found.components_.T for place in places)
    return Plane(*points, (first, second))


def _tsne(places: list[np.ndarray], perplexity: float, seed: int) -> list[np.ndarray]:
    from sklearn.manifold import TSNE

    points = np.concatenate(places)
    there = np.isfinite(points).all(axis=1)
    if there.sum() <= perplexity:
        raise UsageError(
            f"t-SNE with a perplexity of {perplexity:g} needs more points than that, and there "
            f"are {there.sum()}: {len(places[0])} samples, and means and targets of the classes"
        )
    found = np.full((len(points), 2), np.nan)
    search = TSNE(perplexity=perplexity, random_state=seed, init="pca")
    found[there] = search.fit_transform(points[there].astype(np.float32))
    return np.split(found, np.cumsum([len(place) for place in places[:-1]]))
