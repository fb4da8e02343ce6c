"""``--val_fraction``: a part of the training images that is held out for validation."""

import zlib
from collections.abc import Sequence

import numpy as np

from utils import generator


def held_out_positions(
    labels: np.ndarray,
    originals: Sequence[int | str],
    names: Sequence[str],
    fraction: float,
    seed: int,
) -> np.ndarray:
    """Positions of the images that are held out, ascending.

    The images of each class, sorted by name, are shuffled by a generator that depends on the seed
    and on the original label only, and the first ``round(fraction * n)`` of the n images are held
    out, but never the last one. So neither the other classes nor the order of the images matter, a
    larger fraction holds out the same images and more, and an image that is listed twice is held
    out twice or not at all.

    Args:
        labels: int (n,), positions in ``originals``.
        originals: original label of each class.
        names: of the images.
        fraction: in (0, 1).
        seed: non-negative.
    """
    names = np.asarray(names)
    held_out = [np.empty(0, np.int64)]
    for position, original in enumerate(originals):
        members = np.flatnonzero(labels == position)
        distinct = np.unique(names[members])
        count = min(round(fraction * len(distinct)), len(distinct) - 1)
        rng = generator("validation", seed, zlib.crc32(str(original).encode()))
        chosen = distinct[rng.permutation(len(distinct))[: max(0, count)]]
        held_out.append(members[np.isin(names[members], chosen)])
    return np.sort(np.concatenate(held_out))
