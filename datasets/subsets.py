"""Training images by class: the subsets of -subN, and those held out for validation.

Both shuffle the images of each class by a generator that depends on the seed and on the original
label only. So neither depends on the other classes, and a subset contains every smaller one of the
same seed, as does what is held out.
"""

import logging
import zlib
from collections.abc import Iterator, Sequence

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
    for original, members, rng in _classes("subset", labels, originals, seed):
        kept.append(members[rng.permutation(len(members))[:per_class]])
        if len(members) < per_class:
            small.append(original)
    if small:
        logger.warning(
            "%d classes have fewer than %d training images and keep all: %s",
            len(small),
            per_class,
            listing(small),
        )
    return np.sort(np.concatenate(kept))


def number_of_repeats(full: int, subset: int) -> int:
    """Return the passes over a subset that keep the iterations per epoch about constant."""
    return max(1, full // subset)


def held_out_indices(
    labels: np.ndarray,
    originals: Sequence[int | str],
    names: Sequence[str],
    fraction: float,
    seed: int,
) -> np.ndarray:
    """Return the indices of the images that are held out for validation, ascending.

    Of the n images of a class, sorted by name and shuffled, the first ``round(fraction * n)`` are
    held out, but never the last one. So the order of the images does not matter, and an image that
    is listed twice is held out twice or not at all.

    Args:
        labels: int (n,), positions in ``originals``.
        originals: original label of each class.
        names: of the images.
        fraction: in (0, 1).
        seed: non-negative.
    """
    names = np.asarray(names)
    held_out = []
    for _, members, rng in _classes("validation", labels, originals, seed):
        distinct = np.unique(names[members])
        count = min(round(fraction * len(distinct)), len(distinct) - 1)
        chosen = distinct[rng.permutation(len(distinct))[: max(0, count)]]
        held_out.append(members[np.isin(names[members], chosen)])
    return np.sort(np.concatenate(held_out))


def _classes(
    purpose: str, labels: np.ndarray, originals: Sequence[int | str], seed: int
) -> Iterator[tuple[int | str, np.ndarray, np.random.Generator]]:
    """Yield original label, indices of the images and generator of each class."""
    for position, original in enumerate(originals):
        rng = generator(purpose, seed, zlib.crc32(str(original).encode()))
        yield original, np.flatnonzero(labels == position), rng
