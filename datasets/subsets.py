"""The suffix -subN: N training images of each class, the same ones for everybody."""

import logging
import zlib

import numpy as np

from utils import generator, listing

logger = logging.getLogger(__name__)


def subset_positions(
    labels: np.ndarray, originals: tuple[int | str, ...], per_class: int, seed: int
) -> np.ndarray:
    """Positions of the images that a subset keeps, ascending.

    The images of each class are shuffled by a generator that depends on the seed and on the
    original label only, and the first ``per_class`` are kept. A subset is therefore contained
    in every larger one of the same seed, and does not depend on the other classes. Classes with
    fewer images keep all.

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
            len(small),
            per_class,
            listing(small),
        )
    return np.sort(np.concatenate(kept))


def number_of_repeats(full: int, subset: int) -> int:
    """How often a subset is repeated, so that an epoch has about as many iterations as before."""
    return max(1, full // subset)
