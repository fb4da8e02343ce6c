"""CUB-200-2011 and NABirds: images and annotations as lists of IDs.

CUB: https://www.vision.caltech.edu/datasets/cub_200_2011/
NABirds: https://dl.allaboutbirds.org/nabirds
"""

import logging
import os
from dataclasses import dataclass, replace
from pathlib import Path

from datasets.base import DATASETS, RawSplit, ReaderArgs, require_root
from datasets.images.dataset import RawImageDataset
from datasets.images.published import PUBLISHED
from datasets.readers.annotations import file_split, read_pairs, zero_or_one
from datasets.readers.cub_splits import LISTED, LISTED_SEED, drawn_images, listed_images
from utils import UserError, listing

logger = logging.getLogger(__name__)

_IMAGES, _LABELS, _SPLIT = "images.txt", "image_class_labels.txt", "train_test_split.txt"
_CUB_CLASS_SIZE = 30  # training images of nearly every class


@dataclass(frozen=True)
class Lists:
    """Content of the list files; IDs are text, in the order of ``images.txt``.

    Attributes:
        paths: path of each image within ``images/``, by ID.
        train: IDs of the training images.
        test: IDs of the test images.
    """

    paths: dict[str, str]
    train: list[str]
    test: list[str]


@DATASETS.register("CUB")
def read_cub(args: ReaderArgs) -> RawImageDataset:
    """Read CUB; ``-subN`` uses a list in the root, else the shipped one, else a random choice."""
    root = require_root(args, "CUB", _IMAGES, _LABELS, _SPLIT)
    lists = read_split(root)
    labels = _read_labels(root, lists)
    if args.per_class is not None:
        lists = _subset(root, lists, labels, args)
    return _source(
        root,
        lists,
        labels,
        **PUBLISHED["CUB"]._asdict(),
        full_per_class=_CUB_CLASS_SIZE,
        is_subset=args.per_class is not None,
    )


@DATASETS.register("NAB")
def read_nab(args: ReaderArgs) -> RawImageDataset:
    """Read NABirds with its small image size."""
    root = require_root(args, "NAB", _IMAGES, _LABELS, _SPLIT)
    lists = read_split(root)
    return _source(
        root,
        lists,
        _read_labels(root, lists),
        **PUBLISHED["NAB"]._asdict(),
    )


def read_split(root: Path) -> Lists:
    """Read ``images.txt`` and the official split.

    Raises:
        UserError: a file is missing or malformed, or they do not have the same IDs.
    """
    paths = read_pairs(root / _IMAGES, "a path")
    split = read_pairs(root / _SPLIT, "1 (training) or 0 (test)", zero_or_one)
    _check_same_ids(root, _SPLIT, split, paths)
    train = [key for key in paths if split[key]]
    return Lists(paths, train, [key for key in paths if not split[key]])


def _read_labels(root: Path, lists: Lists) -> dict[str, int]:
    labels = read_pairs(root / _LABELS, "a whole number", int)
    _check_same_ids(root, _LABELS, labels, lists.paths)
    return labels


def _source(root: Path, lists: Lists, labels: dict[str, int], **settings) -> RawImageDataset:
    def samples(ids: list[str]) -> RawSplit:
        paths = [lists.paths[key] for key in ids]
        return file_split(root, paths, [labels[key] for key in ids], "images")

    train, test = samples(lists.train), samples(lists.test)
    return RawImageDataset(train, test, class_names=_class_names(root), **settings)


def _subset(root: Path, lists: Lists, labels: dict[str, int], args: ReaderArgs) -> Lists:
    """Keep the training images of ``CUB-subN``, in the order of ``images.txt``."""
    path = root / subset_file(args.per_class)
    if os.path.isfile(path):
        return _listed_in(path, lists)
    training = {lists.paths[key]: labels[key] for key in lists.train}
    kept = _kept_images(training, args.per_class, args.subset_seed)
    return replace(lists, train=[key for key in lists.train if lists.paths[key] in kept])


def subset_file(per_class: int) -> str:
    """Return the name of the published list file of ``CUB-subN``."""
    return f"train_test_split_{per_class}.txt"


def _kept_images(training: dict[str, int], per_class: int, seed: int) -> set[str]:
    if seed == LISTED_SEED and per_class <= LISTED:
        try:
            return listed_images(training, per_class)
        except UserError as error:
            logger.warning("%s; the subset is drawn by the general rule", error)
    return drawn_images(training, per_class, seed)


def _listed_in(path: Path, lists: Lists) -> Lists:
    """Read the user's list; if it has no test images, the official ones remain."""
    split = read_pairs(path, "1 (training) or 0 (test)", zero_or_one)
    _check_ids(path.parent, path.name, split, lists.paths)
    logger.info("the subset is the one that %s lists", path)
    train = [key for key in lists.paths if split.get(key) is True]
    test = [key for key in lists.paths if split.get(key) is False] or lists.test
    shared = sorted(set(train) & set(test))
    if shared:
        raise UserError(f"{path} lists test images for training: ids {listing(shared)}")
    return Lists(lists.paths, train, test)


def _check_same_ids(root: Path, file: str, values: dict, paths: dict) -> None:
    _check_ids(root, file, values, paths)
    missing = [key for key in paths if key not in values]
    if missing:
        raise UserError(f"{root / file} lacks {len(missing)} images: ids {listing(missing)}")


def _check_ids(root: Path, file: str, values: dict, paths: dict) -> None:
    unknown = [key for key in values if key not in paths]
    if unknown:
        raise UserError(f"{root / file} has ids that {_IMAGES} lacks: {listing(unknown)}")


def _class_names(root: Path) -> dict[int, str]:
    path = root / "classes.txt"
    if not os.path.isfile(path):
        return {}
    names = read_pairs(path, "a name")
    # Longer numbers cannot be labels, and Python refuses to parse very long ones.
    return {
        int(label): name for label, name in names.items() if label.isdecimal() and len(label) < 20
    }
