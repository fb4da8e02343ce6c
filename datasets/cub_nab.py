"""CUB-200-2011 and NABirds: images and annotations as lists of ids.

CUB: https://www.vision.caltech.edu/datasets/cub_200_2011/
NABirds: https://dl.allaboutbirds.org/nabirds
"""

import logging
from pathlib import Path

from datasets.annotations import file_samples, read_pairs, zero_or_one
from datasets.base import DATASETS, Request, Source, listing, require_files, require_root
from datasets.normalization import Normalization
from datasets.transforms import Preprocessing
from utils import UserError

logger = logging.getLogger(__name__)

_IMAGES, _LABELS, _SPLIT = "images.txt", "image_class_labels.txt", "train_test_split.txt"
_CUB_CLASS_SIZE = 30  # training images of nearly every class


@DATASETS.register("CUB")
def read_cub(request: Request) -> Source:
    """Reads CUB; a list ``train_test_split_N.txt`` wins over the random rule for ``-subN``."""
    root = require_root(request, "CUB")
    require_files(root, "CUB", _IMAGES, _LABELS, _SPLIT)
    subset_file = root / f"train_test_split_{request.per_class}.txt"
    has_subset_file = request.per_class is not None and subset_file.is_file()
    return _read(
        root,
        subset_file=subset_file if has_subset_file else None,
        preprocessing=Preprocessing(512, 512, 448, erasing=0.5),
        normalization=Normalization(
            (123.82988033, 127.35116805, 110.25606303), (59.2230949, 58.0736071, 67.80251684)
        ),
        full_per_class=_CUB_CLASS_SIZE,
        is_subset=has_subset_file,
    )


@DATASETS.register("NAB")
def read_nab(request: Request) -> Source:
    """Reads NABirds, at its small size."""
    root = require_root(request, "NAB")
    require_files(root, "NAB", _IMAGES, _LABELS, _SPLIT)
    return _read(
        root,
        preprocessing=Preprocessing((256, 480), 256, 224, erasing=0.5),
        normalization=Normalization(
            (125.30513277, 129.66606421, 118.45121113), (57.0045467, 56.70059436, 68.44430446)
        ),
    )


def _read(root: Path, subset_file: Path | None = None, **settings) -> Source:
    paths = read_pairs(root / _IMAGES, "a path")
    labels = read_pairs(root / _LABELS, "a whole number", int)
    split = read_pairs(root / _SPLIT, "1 (training) or 0 (test)", zero_or_one)
    for values, file in ((labels, _LABELS), (split, _SPLIT)):
        _check_ids(root, file, values, paths)
        _check_complete(root, file, values, paths)
    train = [key for key in paths if split[key]]
    test = [key for key in paths if not split[key]]
    if subset_file:
        train, test = _subset(subset_file, paths, test)
    samples = (
        file_samples(root, [paths[key] for key in ids], [labels[key] for key in ids], "images")
        for ids in (train, test)
    )
    return Source(*samples, class_names=_class_names(root), **settings)


def _subset(path: Path, paths: dict, official_test: list[str]) -> tuple[list[str], list[str]]:
    """Ids for training and testing in a list of a subset; the official test ids if it has none."""
    split = read_pairs(path, "1 (training) or 0 (test)", zero_or_one)
    _check_ids(path.parent, path.name, split, paths)
    logger.info("the subset is the one that %s lists", path)
    train = [key for key in paths if split.get(key) is True]
    test = [key for key in paths if split.get(key) is False] or official_test
    shared = sorted(set(train) & set(test))
    if shared:
        raise UserError(f"{path} lists test images for training: ids {listing(shared)}")
    return train, test


def _check_ids(root: Path, file: str, values: dict, paths: dict) -> None:
    unknown = [key for key in values if key not in paths]
    if unknown:
        raise UserError(f"{root / file} has ids that {_IMAGES} lacks: {listing(unknown)}")


def _check_complete(root: Path, file: str, values: dict, paths: dict) -> None:
    missing = [key for key in paths if key not in values]
    if missing:
        raise UserError(f"{root / file} lacks {len(missing)} images: ids {listing(missing)}")


def _class_names(root: Path) -> dict[int, str]:
    path = root / "classes.txt"
    if not path.is_file():
        return {}
    names = read_pairs(path, "a name")
    return {int(label): name for label, name in names.items() if label.isdecimal()}
