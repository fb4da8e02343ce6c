"""Feature dumps of several models for the same images, with consistent class positions."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evaluation.feature_dumps import read_features
from utils import UsageError, UserError, listing


@dataclass(frozen=True, eq=False)
class Gallery:
    """Features of the same images from several models, which may order the images differently."""

    classes: tuple[str, ...]  # unique original class labels, as text
    vectors: tuple[np.ndarray, ...]  # (images, dimensions) of each model
    positions: tuple[np.ndarray, ...]  # int (images,) of each model, positions in classes

    @property
    def images(self) -> int:
        """Number of images of each model."""
        return len(self.vectors[0])


def read_gallery(paths: Sequence[Path], known: np.ndarray | None = None) -> Gallery:
    """Read the dumps of models that saw the same images.

    ``known`` are the original class labels of the images, for dumps without labels.

    Raises:
        UserError: a dump cannot be read, or two differ in the number of images of a class.
    """
    dumps = [read_features(path, known) for path in paths]
    labels = [dump.labels.astype(str) for dump in dumps]
    counts = [Counter(one.tolist()) for one in labels]
    for path, count in zip(paths[1:], counts[1:], strict=True):
        _check_same(paths[0], counts[0], path, count)
    classes = np.unique(labels[0])
    return Gallery(
        tuple(classes.tolist()),
        tuple(dump.vectors for dump in dumps),
        tuple(np.searchsorted(classes, one) for one in labels),
    )


def restrict(gallery: Gallery, wanted: Sequence[str]) -> Gallery:
    """Keep the images of some classes.

    Raises:
        UsageError: no class is wanted, or one has no images.
    """
    unknown = [label for label in wanted if label not in gallery.classes]
    if unknown:
        raise UsageError(
            f"the feature dumps have no images of the classes {listing(unknown)}; "
            f"theirs are {listing(gallery.classes)}"
        )
    if not wanted:
        raise UsageError("the list of class labels is empty")
    is_wanted = np.isin(gallery.classes, wanted)
    renumbered = np.cumsum(is_wanted) - 1
    kept = [is_wanted[positions] for positions in gallery.positions]
    return Gallery(
        tuple(np.array(gallery.classes)[is_wanted].tolist()),
        tuple(v[keep] for v, keep in zip(gallery.vectors, kept, strict=True)),
        tuple(renumbered[p[keep]] for p, keep in zip(gallery.positions, kept, strict=True)),
    )


def _check_same(first: Path, expected: Counter, path: Path, found: Counter) -> None:
    if found.total() != expected.total():
        raise UserError(
            f"{path} has {found.total()} images, {first} has {expected.total()}: "
            "the models must be compared on the same images"
        )
    different = sorted(k for k in expected | found if expected[k] != found[k])
    if different:
        label = different[0]
        raise UserError(
            f"{path} has {found[label]} images of class {label}, {first} has {expected[label]}: "
            "the models must be compared on the same images"
        )
