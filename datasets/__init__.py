"""Data sets by name. ``get_dataset`` is the only entrance.

A new data set is one file with ``@DATASETS.register("Name")`` on a function that takes a
``ReaderArgs`` and returns a ``RawDataset`` (see ``base``), and one import below.
"""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np

from datasets.base import (
    DATASETS,
    ImageDataset,
    RawDataset,
    ReaderArgs,
    Split,
    assemble,
    check_classes,
    check_split,
)
from datasets.holdout import held_out_positions
from datasets.images.normalization import BY_SUFFIX, Normalization
from datasets.images.preprocessing import Preprocessing
from datasets.names import DatasetName, parse_name
from datasets.readers import (  # noqa: F401 (register)
    cars,
    cifar,
    cub_nab,
    digits,
    flowers,
    folder,
    ilsvrc,
    inat,
    mit67,
)
from datasets.subsets import number_of_repeats, subset_positions
from utils import UsageError

__all__ = ["dataset_names", "get_dataset"]

logger = logging.getLogger(__name__)

_LARGE = (512, 448)  # size, crop
_CROP_RATIO = 7 / 8  # of all published sizes: 512 to 448, 256 to 224


def dataset_names() -> list[str]:
    """The names of all data sets, without suffixes."""
    return DATASETS.names()


def get_dataset(
    name: str,
    root: str | Path | None = None,
    *,
    subset_seed: int = 0,
    repeats: int | None = None,
    test_fraction: float | None = None,
    target_size: int | tuple[int, int] | None = None,
    crop_size: int | None = None,
    val_fraction: float | None = None,
) -> ImageDataset:
    """Reads a data set.

    Args:
        name: a name from ``dataset_names()``, in any case, with suffixes in any order:
            ``-subN`` keeps N training images of each class, ``-ilsvrcmean`` and ``-caffe`` use
            another normalization, ``-large`` resizes to 512 pixels and crops to 448.
        root: folder of the data set, for those that are read from files.
        subset_seed: chooses the images of ``-subN``, those for testing by ``test_fraction`` and
            those for validation by ``val_fraction``.
        repeats: how often the training images are repeated in an epoch; None: once, and subsets
            so often that an epoch has about as many iterations as with the whole data.
        test_fraction: for a folder without a split, the part of the images used for testing.
        target_size: pixels of the shorter side, or a range (low, high) to draw it from in
            training; then tests use low.
        crop_size: pixels of the cropped square; None: as published, or 7/8 of ``target_size``.
        val_fraction: part of the training images of each class that is held out for validation
            (of a subset: of its images); None: nothing.

    Raises:
        UsageError: the name does not exist, or an argument does not fit the data set.
        UserError: the files are missing or damaged.
    """
    parsed = parse_name(name)
    _check_arguments(parsed, subset_seed, repeats, test_fraction, val_fraction)
    root = None if root is None else Path(root)
    raw = DATASETS.get(parsed.base)(
        ReaderArgs(root, parsed.per_class, subset_seed, test_fraction, parsed.part)
    )
    dataset = replace(
        assemble(name, raw),
        preprocessing=_sizes(parsed, raw.preprocessing, target_size, crop_size),
        fixed_normalization=_normalization(parsed, raw),
    )
    check_classes(dataset)
    return _subset(dataset, parsed.per_class, raw, subset_seed, repeats, val_fraction)


def _check_arguments(
    parsed: DatasetName, subset_seed, repeats, test_fraction, val_fraction
) -> None:
    if subset_seed < 0:
        raise UsageError(f"the seed of the subset must not be negative, it is {subset_seed}")
    if repeats is not None and repeats < 1:
        raise UsageError(f"the data must be repeated at least once, not {repeats} times")
    if test_fraction is not None and parsed.base != "Folder":
        raise UsageError(f"{parsed.base} has a fixed split, so there can be no test fraction")
    if test_fraction is not None and not 0 < test_fraction < 1:
        raise UsageError(f"the test fraction must lie between 0 and 1, it is {test_fraction}")
    if val_fraction is not None and not 0 < val_fraction < 1:
        raise UsageError(f"the validation fraction must lie between 0 and 1, it is {val_fraction}")


def _sizes(parsed: DatasetName, default: Preprocessing, target_size, crop_size) -> Preprocessing:
    if not parsed.large and target_size is None and crop_size is None:
        return default
    if default.crop_size is None:
        raise UsageError(f"the images of {parsed.base} have a fixed size")
    if parsed.large:
        default = replace(default, train_size=_LARGE[0], test_size=_LARGE[0], crop_size=_LARGE[1])
    if target_size is not None:
        smallest = target_size[0] if isinstance(target_size, tuple) else target_size
        derived = max(1, round(smallest * _CROP_RATIO))
        default = replace(default, train_size=target_size, test_size=smallest, crop_size=derived)
    if crop_size is not None:
        default = replace(default, crop_size=crop_size)
    _check_sizes(default)
    return default


def _check_sizes(sizes: Preprocessing) -> None:
    if sizes.test_size < 1 or sizes.crop_size < 1:
        raise UsageError(
            f"images need at least one pixel: target size {sizes.train_size}, "
            f"crop size {sizes.crop_size}"
        )
    if isinstance(sizes.train_size, tuple) and sizes.train_size[0] >= sizes.train_size[1]:
        raise UsageError(f"the range of target sizes is empty: {sizes.train_size}")
    if sizes.crop_size > sizes.test_size:
        logger.warning(
            "images of %d pixels are padded to %d by reflection", sizes.test_size, sizes.crop_size
        )


def _normalization(parsed: DatasetName, raw: RawDataset) -> Normalization | None:
    if parsed.normalization is None:
        return raw.normalization
    if raw.channels != 3:
        raise UsageError(
            f"-{parsed.normalization} is for RGB images, "
            f"but those of {parsed.base} have {raw.channels} channel"
        )
    return BY_SUFFIX[parsed.normalization]


def _subset(
    dataset: ImageDataset,
    per_class: int | None,
    raw: RawDataset,
    seed: int,
    repeats: int | None,
    val_fraction: float | None,
) -> ImageDataset:
    """Keeps ``per_class`` training images of each class, unless the reader did, and repeats.

    Images for validation are held out in between, so that none is in both splits.
    """
    train = dataset.train
    if per_class is not None and not raw.is_subset:
        train = train.select(subset_positions(train.labels, dataset.labels, per_class, seed))
    if repeats is None:
        repeats = _repeats(per_class, raw, full=len(dataset.train), kept=len(train))
    validation = None
    if val_fraction is not None:
        train, validation = _hold_out(dataset, train, val_fraction, seed)
    return replace(dataset, train=train.repeated(repeats), validation=validation, repeats=repeats)


def _hold_out(
    dataset: ImageDataset, train: Split, fraction: float, seed: int
) -> tuple[Split, Split]:
    held_out = held_out_positions(train.labels, dataset.labels, train.names, fraction, seed)
    if not len(held_out):
        raise UsageError(
            f"--val_fraction {fraction:g}: no class of {dataset.name} has enough training images "
            f"to hold out one (the largest has {np.bincount(train.labels).max()})"
        )
    kept = np.setdiff1d(np.arange(len(train)), held_out)
    check_split(dataset, train.select(held_out), "validation")
    return train.select(kept), train.select(held_out)


def _repeats(per_class: int | None, raw: RawDataset, full: int, kept: int) -> int:
    if per_class is None:
        return 1
    if raw.full_per_class is not None:
        return number_of_repeats(raw.full_per_class, per_class)
    return number_of_repeats(full, kept)
