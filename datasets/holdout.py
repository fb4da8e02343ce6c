"""Training images that are held out for validation: a fraction, or one of several folds.

Images are chosen by name, so that a new image barely affects the others. Of a fraction, at most one
of its class changes sides, if the number of held-out images changes or the new image is one of
them; a larger fraction contains every smaller one with the same seed.
"""

import hashlib
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from datasets.base import Dataset, check_split
from utils import UsageError


def check_folds(folds: int | None, fold: int | None) -> None:
    """Raise UsageError unless both or neither are given, and there is such a fold."""
    if (folds is None) != (fold is None):
        raise UsageError("--folds K and --fold I, the number of folds and one of them, go together")
    if folds is not None and not fold < folds:
        raise UsageError(f"--fold {fold}: of {folds} folds, give one from 0 to {folds - 1}")


def with_validation(dataset: Dataset, fraction: float, seed: int) -> Dataset:
    """Hold out a fraction of the training images of each class.

    Raises:
        UsageError: the data set has validation images, or no class has enough images.
    """
    train, option = dataset.train, f"--val_fraction {fraction:g}"
    _check_no_validation(dataset, option)
    held_out = held_out_indices(train.labels, train.names, fraction, seed)
    if not len(held_out):
        raise UsageError(
            f"{option}: no class of {dataset.name} has enough training {dataset.noun} to hold out "
            f"one (the largest has {np.bincount(train.labels).max()})"
        )
    return _holding_out(dataset, held_out)


def with_fold(dataset: Dataset, folds: int, fold: int, seed: int) -> Dataset:
    """Hold out one fold of the training images.

    Raises:
        UsageError: the data set has validation images, or a class has fewer images than folds.
    """
    train, option = dataset.train, f"--folds {folds}"
    _check_no_validation(dataset, option)
    different = {*zip(train.labels.tolist(), train.names, strict=True)}
    counts = np.bincount([label for label, _ in different])
    if counts.min() < folds:
        smallest = dataset.labels[counts.argmin()]
        raise UsageError(
            f"{option}: every fold needs {dataset.noun} of each class, but {smallest} of "
            f"{dataset.name} has {counts.min()} training {dataset.noun}"
        )
    return _holding_out(dataset, fold_indices(train.labels, train.names, folds, fold, seed))


def _check_no_validation(dataset: Dataset, option: str) -> None:
    if dataset.validation is not None:
        raise UsageError(f"{option}: {dataset.name} has validation {dataset.noun} of its own")


def _holding_out(dataset: Dataset, held_out: np.ndarray) -> Dataset:
    train = dataset.train
    kept = np.setdiff1d(np.arange(len(train)), held_out)
    dataset = replace(dataset, train=train.select(kept), validation=train.select(held_out))
    check_split(dataset, "validation")
    return dataset


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
