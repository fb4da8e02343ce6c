"""Random choice of images per class: the subsets of -subN, and held-out images.

Except for folds, the choice does not depend on other classes, and contains every smaller one with
the same seed. Subsets are chosen by position. Held-out images are chosen by name, so that a new
image barely affects the others: at most one of its class changes sides, if the number of held-out
images changes or the new image is one of them.
"""

import hashlib
import itertools
import logging
import zlib
from collections.abc import Iterable, Sequence

import numpy as np

from utils import generator, listing

logger = logging.getLogger(__name__)


def subset_indices(
    labels: np.ndarray, originals: Sequence[int | str], per_class: int, seed: int
) -> np.ndarray:
    """Return the indices of the images that a subset keeps, ascending.

    The first ``per_class`` shuffled images of each class are kept; smaller classes keep all.

    Args:
        labels: int (n,), positions in ``originals``.
        originals: original label of each class.
        per_class: images to keep, at least 1.
        seed: non-negative.
    """
    kept, small = [], []
    for position, original in enumerate(originals):
        members = np.flatnonzero(labels == position)
        rng = generator("subset", seed, zlib.crc32(str(original).encode()))
        kept.append(members[rng.permutation(len(members))[:per_class]])
        if len(members) < per_class:
            small.append(original)
    if small:
        logger.warning(
            "%d classes have fewer than %d training images and keep all: %s",
            *(len(small), per_class, listing(small)),
        )
    return np.sort(np.concatenate(kept))


def number_of_repeats(full: int, subset: int) -> int:
    """Return the number of passes over a subset that keeps the iterations per epoch constant."""
    return max(1, full // subset)


def held_out_indices(
    labels: np.ndarray, names: Sequence[str], fraction: float, seed: int
) -> np.ndarray:
    """Return the indices of the images that are held out for validation, ascending.

    Of the n images of a class, the first ``round(fraction * n)`` of ``first_by_name`` are held out,
    but never all of them. An image that is listed twice is held out twice or not at all.

    Args:
        labels: int (n,), the class of each image.
        names: name of each image.
        fraction: fraction to hold out, in (0, 1).
        seed: non-negative.
    """
    names = np.asarray(names)
    held_out = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        distinct = np.unique(names[members]).tolist()
        count = min(round(fraction * len(distinct)), len(distinct) - 1)
        chosen = first_by_name("validation", seed, distinct, count)
        held_out.append(members[[name in chosen for name in names[members]]])
    return np.sort(np.concatenate(held_out))


def fold_indices(
    labels: np.ndarray, names: Sequence[str], folds: int, fold: int, seed: int
) -> np.ndarray:
    """Return the indices of the images in one of several stratified folds, ascending.

    Class by class, the images are dealt to the folds in turn, in the order of ``ordered_by_name``:
    the sizes of folds differ by at most one image, within a class and in total. An image that is
    listed twice is in one fold, and counts once.

    Args:
        labels: int (n,), the class of each image.
        names: name of each image; every class has at least as many distinct ones as folds.
        folds: number of folds.
        fold: index of the fold to return, from 0.
        seed: non-negative.
    """
    names = np.asarray(names)
    chosen, turns = [], itertools.cycle(range(folds))
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        ordered = ordered_by_name("fold", seed, {*names[members].tolist()})
        part = {name for name in ordered if next(turns) == fold}
        chosen.append(members[[name in part for name in names[members].tolist()]])
    return np.sort(np.concatenate(chosen))


def first_by_name(purpose: str, seed: int, names: Iterable[str], count: int) -> frozenset[str]:
    """Return the ``count`` names that come first in the order of ``ordered_by_name``."""
    return frozenset(ordered_by_name(purpose, seed, names)[:count])


def ordered_by_name(purpose: str, seed: int, names: Iterable[str]) -> list[str]:
    """Sort names by the SHA-256 of purpose, seed and name.

    The purpose is ``"test"``, ``"validation"`` or ``"fold"``; names are distinct.
    """

    def digest(name: str) -> bytes:
        text = f"{purpose} {seed} {name}"
        return hashlib.sha256(text.encode(errors="surrogateescape")).digest()

    return sorted(names, key=digest)
