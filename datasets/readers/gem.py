"""The splits of Brigato et al., Tune It or Don't Use It (2021), https://arxiv.org/abs/2108.13122.

Lists of images with their labels, next to the folder ``images``, as in their repository:
https://github.com/lorenzobrigato/gem
"""

import logging
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from datasets.base import DATASETS, RawSplit, ReaderArgs, require_files, require_root
from datasets.images.augmentation.preprocessing import Preprocessing
from datasets.images.dataset import RawImageDataset
from datasets.readers.annotations import file_split, read_pairs
from datasets.readers.cifar import read_cifar10
from utils import UsageError, UserError, listing

logger = logging.getLogger(__name__)

_PART = re.compile(r"(train|trainval)([012])")
_FOLDER = "images"
_CROPPED = Preprocessing(256, 224, 224)
_REFLECTANCE = 10_000  # value of Sentinel-2 for full reflectance
_PADDED = Preprocessing(64, 64, 64, vflip=0.5, pad=8, white=_REFLECTANCE)
_PADDED_SMALL = Preprocessing(crop_size=32, pad=4)


class _Source(NamedTuple):
    """One of their data sets."""

    suffix: str  # suffix of the image files, which the lists omit
    preprocessing: Preprocessing = _CROPPED
    channels: int = 3  # 3 for RGB, 1 for gray; others are bands
    first_label: int = 0  # label of class 0 of the lists
    names: Sequence[str] = ()  # class names; empty: names of their folders


_CLAMM = (
    "Caroline Cursiva Half_uncial Humanistic Humanistic_Cursive Hybrida Praegothica Semihybrida "
    "Semitextualis Southern_Textualis Textualis Uncial"
)
_ISIC = "MEL NV BCC AKIEC BKL DF VASC".split()  # in the order of the challenge
_SOURCES = {
    "GEM-CUB": _Source(".jpg", first_label=1),
    "GEM-CLaMM": _Source(".tif", replace(_CROPPED, flip=0.0), channels=1, names=_CLAMM.split()),
    "GEM-EuroSAT": _Source(".tif", _PADDED, channels=13),
    "GEM-ISIC": _Source(".jpg", replace(_CROPPED, vflip=0.5), names=_ISIC),
}


def _read(name: str, args: ReaderArgs, part: str | None) -> RawImageDataset:
    source, (kind, number) = _SOURCES[name], _parsed(name, part)
    train, test = f"{kind}{number}.txt", f"test{number}.txt"
    root = require_root(args, name, train)
    if not (root / test).is_file():  # most data sets have one test list for all splits
        test = "test0.txt"
    lists = [train, test, *([f"val{number}.txt"] if kind == "train" else [])]
    require_files(root, name, *lists)
    contents = [_present(root, file, source) for file in lists]
    splits = [
        file_split(root, [*content], [*content.values()], _FOLDER, source.channels)
        for content in contents
    ]
    return RawImageDataset(
        *splits[:2],
        validation=splits[2] if len(splits) > 2 else None,
        preprocessing=source.preprocessing,
        channels=source.channels,
        class_names=dict(enumerate(source.names, source.first_label))
        or {label: PurePosixPath(path).parent.name for path, label in contents[0].items()},
    )


def _present(root: Path, file: str, source: _Source) -> dict[str, int]:
    """Return label by path of the images in a list, without those in missing folders."""
    listed = {
        f"{path}{source.suffix}": label + source.first_label
        for path, label in read_pairs(root / file, "a class number", int).items()
    }
    folders = {str(PurePosixPath(path).parent) for path in listed}
    missing = {folder for folder in folders if not (root / _FOLDER / folder).is_dir()}
    if missing == folders:
        raise UserError(f"{root / file}: none of its images are in {root / _FOLDER}")
    if missing:
        logger.warning(
            "%s: %d of %d folders are not in %s and left out: %s",
            file,
            len(missing),
            len(folders),
            root / _FOLDER,
            listing(sorted(missing)),
        )
    return {p: label for p, label in listed.items() if str(PurePosixPath(p).parent) not in missing}


def _parsed(name: str, part: str | None) -> tuple[str, int]:
    """Return the training part, ``train`` or ``trainval``, and the number of the split."""
    match = _PART.fullmatch(part or "trainval0")
    if match is None:
        raise UsageError(
            f"{name}_{part}: the splits are {name}_train0 to _train2, with images for validation, "
            f"and {name}_trainval0 to _trainval2"
        )
    return match[1], int(match[2])


@DATASETS.register("GEM-CUB")
def read_cub(args: ReaderArgs, part: str | None = None) -> RawImageDataset:
    """Read CUB-200-2011; labels are those of its own files, from 1."""
    return _read("GEM-CUB", args, part)


@DATASETS.register("GEM-CLaMM")
def read_clamm(args: ReaderArgs, part: str | None = None) -> RawImageDataset:
    """Read the Latin manuscripts of ICFHR 2016: https://clamm.irht.cnrs.fr."""
    return _read("GEM-CLaMM", args, part)


@DATASETS.register("GEM-EuroSAT")
def read_eurosat(args: ReaderArgs, part: str | None = None) -> RawImageDataset:
    """Read the 13 bands of EuroSAT: https://github.com/phelber/EuroSAT."""
    return _read("GEM-EuroSAT", args, part)


@DATASETS.register("GEM-ISIC")
def read_isic(args: ReaderArgs, part: str | None = None) -> RawImageDataset:
    """Read the skin lesions of ISIC 2018, task 3: https://challenge.isic-archive.com/data/#2018."""
    return _read("GEM-ISIC", args, part)


_FOR_TRAINING, _PER_CLASS = 30, 50


@DATASETS.register("GEM-CIFAR-10")
def read_cifar(args: ReaderArgs, part: str | None = None) -> RawImageDataset:
    """Read 50 images per class of CIFAR-10 or ciFAIR-10, whose files have the same names.

    ciFAIR-10, https://cvjena.github.io/cifair/, has a ``test_batch`` without near-duplicates of
    training images.
    """
    kind, number = _parsed("GEM-CIFAR-10", part)
    raw = read_cifar10(args, "GEM-CIFAR-10")
    start = _PER_CLASS * number
    middle, end = start + _FOR_TRAINING, start + _PER_CLASS
    kept = {"train": (start, end if kind == "trainval" else middle)}
    if kind == "train":
        kept["validation"] = (middle, end)
    splits = {name: _slice_of_classes(raw.train, *bounds) for name, bounds in kept.items()}
    return replace(raw, **splits, preprocessing=_PADDED_SMALL)


def _slice_of_classes(split: RawSplit, start: int, end: int) -> RawSplit:
    """Keep the images of each class from ``start`` to ``end - 1``, in the order of the files."""
    labels = np.array(split.labels)
    of_class = [np.flatnonzero(labels == label)[start:end] for label in np.unique(labels)]
    return split.select(np.sort(np.concatenate(of_class)))
