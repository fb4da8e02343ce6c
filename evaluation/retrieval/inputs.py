"""Feature dumps of several models of the same images, with classes numbered alike."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from evaluation.feature_dumps import Features, read_features
from utils import UsageError, UserError, listing


@dataclass(frozen=True, eq=False)
class Gallery:
    """Features of the same images by several models, each in its own order of the images.

    Attributes:
        classes: unique original class labels, as text.
        vectors: (images, dimensions) of each model.
        positions: int (images,) of each model, positions in ``classes``.
    """

    classes: tuple[str, ...]
    vectors: tuple[np.ndarray, ...]
    positions: tuple[np.ndarray, ...]

    @property
    def images(self) -> int:
        """Number of images of each model."""
        return len(self.vectors[0])


def read_gallery(paths: Sequence[Path]) -> Gallery:
    """Read the dumps of models that saw the same images.

    Raises:
        UserError: a dump cannot be read, or two do not have the same number of images of each
            class.
    """
    dumps = [_with_labels_as_text(read_features(path)) for path in paths]
    counts = [Counter(dump.labels.tolist()) for dump in dumps]
    for path, count in zip(paths[1:], counts[1:], strict=True):
        _check_same(paths[0], counts[0], path, count)
    classes = np.unique(dumps[0].labels)
    return Gallery(
        tuple(classes.tolist()),
        tuple(dump.vectors for dump in dumps),
        tuple(np.searchsorted(classes, dump.labels) for dump in dumps),
    )


def restrict(gallery: Gallery, wanted: Sequence[str]) -> Gallery:
    """Keep the images of some classes.

    Raises:
        UsageError: one of them has no images.
    """
    unknown = [label for label in wanted if label not in gallery.classes]
    if unknown:
        raise UsageError(
            f"the feature dumps have no images of the classes {listing(unknown)}; "
            f"theirs are {listing(gallery.classes)}"
        )
    if not wanted:
        raise UsageError("the list of class labels is empty")
    classes = [label for label in gallery.classes if label in set(wanted)]
    number = np.full(len(gallery.classes), -1)
    number[[gallery.classes.index(label) for label in classes]] = np.arange(len(classes))
    kept = [number[positions] >= 0 for positions in gallery.positions]
    return Gallery(
        tuple(classes),
        tuple(v[keep] for v, keep in zip(gallery.vectors, kept, strict=True)),
        tuple(number[p[keep]] for p, keep in zip(gallery.positions, kept, strict=True)),
    )


def _with_labels_as_text(dump: Features) -> Features:
    return replace(dump, labels=dump.labels.astype(str))


def _check_same(first: Path, expected: Counter, path: Path, found: Counter) -> None:
    if found.total() != expected.total():
        raise UserError(
            f"{path} has {found.total()} images, {first} has {expected.total()}: "
            "the models have to be compared on the same images"
        )
    different = sorted(k for k in expected | found if expected[k] != found[k])
    if different:
        label = different[0]
        raise UserError(
            f"{path} has {found[label]} images of class {label}, {first} has {expected[label]}: "
            "the models have to be compared on the same images"
        )
