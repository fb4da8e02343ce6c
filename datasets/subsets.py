"""Random choice of training images per class: the subsets of -subN.

The choice in a class does not depend on other classes, and contains every smaller one with the same
seed.
"""

import logging
import zlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from datasets.base import Dataset, RawDataset
from utils import generator, listing

logger = logging.getLogger(__name__)


def subset_indices(
    labels: np.ndarray,
    originals: Sequence[int | str],
    per_class: int,
    seed: int,
    noun: str = "images",
) -> np.ndarray:
    """Return the indices of the images that a subset keeps, ascending.

    The first ``per_class`` shuffled images of each class are kept; smaller classes keep all.

    Args:
        labels: int (n,), positions in ``originals``.
        originals: original label of each class.
        per_class: images to keep, at least 1.
        seed: non-negative.
        noun: what the warning about small classes calls them.
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
            "%d classes have fewer than %d training %s and keep all: %s",
            len(small),
            per_class,
            noun,
            listing(small),
        )
    return np.sort(np.concatenate(kept))


def number_of_repeats(full: int, subset: int) -> int:
    """Return the number of passes over a subset that keeps the iterations per epoch constant."""
    return max(1, full // subset)


def with_subset(
    dataset: Dataset, raw: RawDataset, per_class: int | None, seed: int, repeats: int | None
) -> Dataset:
    """Keep ``per_class`` training images of each class, unless the reader already did."""
    train = dataset.train
    if per_class is not None and not raw.is_subset:
        kept = subset_indices(train.labels, dataset.labels, per_class, seed, dataset.noun)
        train = train.select(kept)
    if repeats is None and raw.full_per_class is not None:
        repeats = number_of_repeats(raw.full_per_class, per_class or raw.full_per_class)
    elif repeats is None:
        repeats = number_of_repeats(len(dataset.train), len(train))
    return replace(dataset, train=train, repeats=repeats)
