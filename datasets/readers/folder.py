"""Any folder of images with one subfolder per class.

In order of preference:

    root/train.txt, root/test.txt         lists of class/file, relative to the root
    root/train/CLASS/…, root/test/CLASS/… the split as folders
    root/CLASS/…                          a random part of each class is for testing, or all
"""

import os
import zlib
from pathlib import Path

from datasets.base import DATASETS, RawSplit, ReaderArgs, require_files, require_root
from datasets.images.dataset import RawImageDataset
from datasets.images.files import IMAGE_SUFFIXES
from datasets.images.preprocessing import Preprocessing
from datasets.readers.annotations import file_split, read_class_list
from utils import UsageError, UserError, generator, list_folder

DEFAULT_TEST_FRACTION = 0.2
_PARTS = ("train", "test")
_LISTS = ("train.txt", "test.txt")


@DATASETS.register("Folder")
def read_folder(args: ReaderArgs) -> RawImageDataset:
    """Read a folder of images."""
    root = require_root(args, "Folder")
    if args.all_test:
        splits = [None, _whole(root, args)]
    elif any(os.path.isfile(root / file) for file in _LISTS):
        splits = _from_lists(root, args)
    elif any(os.path.isdir(root / part) for part in _PARTS):
        splits = _from_parts(root, args)
    else:
        splits = _from_classes(root, args)
    return RawImageDataset(*splits, preprocessing=Preprocessing(256, 256, 224, erasing=0.5))


def _whole(root: Path, args: ReaderArgs) -> RawSplit:
    """Return all images of ``root/CLASS/…``."""
    if args.test_fraction is not None:
        raise UsageError("all images are for testing, so there can be no test fraction")
    if any(os.path.exists(root / name) for name in (*_PARTS, *_LISTS)):
        raise UsageError(
            f"{root} has a fixed split, so that not all of its images are for testing; give the "
            "folder that has one subfolder per class"
        )
    return folder_split(root, ".")


def _from_lists(root: Path, args: ReaderArgs) -> list[RawSplit]:
    require_files(root, "a split by lists", *_LISTS)
    _refuse_fraction(root, args)
    return [file_split(root, *read_class_list(root / file)) for file in _LISTS]


def _from_parts(root: Path, args: ReaderArgs) -> list[RawSplit]:
    _refuse_fraction(root, args)
    if not all(os.path.isdir(root / part) for part in _PARTS):
        raise UserError(
            f"{root} has to contain both folders, {' and '.join(_PARTS)}; classes of these "
            "names have to be renamed, or listed in train.txt and test.txt"
        )
    return [folder_split(root, part) for part in _PARTS]


def folder_split(root: Path, part: str) -> RawSplit:
    """Return the split of ``root/part/CLASS/…``.

    Raises:
        UserError: there is no class, or one has no images or cannot be read.
    """
    classes = _images_by_class(root / part)
    names = [f"{label}/{file}" for label, files in classes.items() for file in files]
    labels = [label for label, files in classes.items() for _ in files]
    return file_split(root, names, labels, part)


def _refuse_fraction(root: Path, args: ReaderArgs) -> None:
    if args.test_fraction is not None:
        raise UsageError(f"{root} has a fixed split, so there can be no test fraction")


def _from_classes(root: Path, args: ReaderArgs) -> list[RawSplit]:
    fraction = args.test_fraction or DEFAULT_TEST_FRACTION
    names: tuple[list[str], list[str]] = ([], [])
    labels: tuple[list[str], list[str]] = ([], [])
    for label, files in _images_by_class(root).items():
        if len(files) < 2:
            raise UserError(f"class {label} in {root} has fewer than 2 images: it cannot be split")
        rng = generator("test split", args.subset_seed, zlib.crc32(label.encode()))
        order = rng.permutation(len(files))
        count = min(max(1, round(fraction * len(files))), len(files) - 1)
        test = frozenset(order[:count].tolist())
        for i, file in enumerate(files):
            names[i in test].append(f"{label}/{file}")
            labels[i in test].append(label)
    return [file_split(root, *split) for split in zip(names, labels, strict=True)]


def _images_by_class(folder: Path) -> dict[str, list[str]]:
    """List the images in each subfolder, both ascending; hidden ones do not count.

    Raises:
        UserError: there are no subfolders, or one of them holds no images, cannot be read, or has
            a name that is not in UTF-8.
    """
    classes = [entry for entry in list_folder(folder) if os.path.isdir(entry)]
    if not classes:
        raise UserError(f"{folder} has no subfolders with images of one class each")
    images = {_readable(entry): _images_in(entry) for entry in classes}
    empty = [name for name, files in images.items() if not files]
    if empty:
        raise UserError(f"{folder / empty[0]} contains no images")
    return images


def _readable(folder: Path) -> str:
    """Return the name of a folder, which names a class and is written to text files."""
    try:
        folder.name.encode()
    except UnicodeEncodeError as error:
        shown = ascii(folder.name)
        raise UserError(f"class {shown} in {folder.parent}: rename it, in UTF-8") from error
    return folder.name


def _images_in(folder: Path) -> list[str]:
    return [entry.name for entry in list_folder(folder) if entry.suffix.lower() in IMAGE_SUFFIXES]
