"""Any folder of images with one subfolder per class.

In order of preference:

    root/train.txt, root/test.txt         lists of class/file, relative to the root
    root/train/CLASS/…, root/test/CLASS/… the split as folders
    root/CLASS/…                          a random part of each class is for testing, or all

``val.txt`` or ``val`` beside the first two lists or contains validation images. Images may be at
any depth below the folder of their class.
"""

import logging
import os
from pathlib import Path

from datasets.base import DATASETS, RawSplit, ReaderArgs, require_files, require_root
from datasets.holdout import first_by_name
from datasets.images.augmentation.preprocessing import Preprocessing
from datasets.images.dataset import RawImageDataset
from datasets.images.files import IMAGE_SUFFIXES
from datasets.images.finding import images_below
from datasets.readers.annotations import file_split, read_files_by_class
from datasets.readers.duplicates import warn_of_duplicates
from utils import UsageError, UserError, list_folder, listing, printable

logger = logging.getLogger(__name__)

DEFAULT_TEST_FRACTION = 0.2
_PARTS = ("train", "test")
_LISTS = ("train.txt", "test.txt")


@DATASETS.register("Folder")
def read_folder(args: ReaderArgs) -> RawImageDataset:
    """Read a folder of images."""
    root = require_root(args, "Folder")
    if args.all_test:
        splits = None, _whole(root, args)
    elif any(os.path.isfile(root / file) for file in _LISTS):
        splits = _from_lists(root, args)
    elif any(os.path.isdir(root / part) for part in _PARTS):
        splits = _from_parts(root, args)
    else:
        splits = random_split(root, args)
    train, test, validation = (*splits, None)[:3]
    warn_of_duplicates(train, test, validation)
    return RawImageDataset(
        train,
        test,
        validation=validation,
        preprocessing=Preprocessing(256, 256, 224, erasing=0.5),
    )


def _whole(root: Path, args: ReaderArgs) -> RawSplit:
    """Return all images of ``root/CLASS/…``."""
    if args.test_fraction is not None:
        raise UsageError("all images are for testing, so there can be no test fraction")
    if any(os.path.exists(root / name) for name in (*_PARTS, *_LISTS)):
        raise UsageError(
            f"{root} has a fixed split, so not all of its images are for testing; give the folder "
            "that has one subfolder per class"
        )
    return folder_split(root, ".")


def _from_lists(root: Path, args: ReaderArgs) -> list[RawSplit]:
    require_files(root, "a split by lists", *_LISTS)
    _refuse_fraction(root, args)
    files = [*_LISTS, "val.txt"] if os.path.isfile(root / "val.txt") else _LISTS
    return [file_split(root, *read_files_by_class(root / file)) for file in files]


def _from_parts(root: Path, args: ReaderArgs) -> list[RawSplit]:
    _refuse_fraction(root, args)
    if not all(os.path.isdir(root / part) for part in _PARTS):
        raise UserError(
            f"{root} must contain both folders, {' and '.join(_PARTS)}; classes with these names "
            "must be renamed, or listed in train.txt and test.txt"
        )
    parts = [*_PARTS, "val"] if os.path.isdir(root / "val") else _PARTS
    others = [path.name for path in list_folder(root) if path.is_dir() and path.name not in parts]
    if others:
        logger.warning(
            "Folders beside %s are not used: %s", listing(parts), printable(listing(others))
        )
    return [folder_split(root, part) for part in parts]


def folder_split(root: Path, part: str) -> RawSplit:
    """Return the split of ``root/part/CLASS/…``.

    Raises:
        UserError: there is no class, or one has no images or cannot be read.
    """
    classes = _images_by_class(root / part)
    names = [name for names in classes.values() for name in names]
    labels = [label for label, names in classes.items() for _ in names]
    return file_split(root, names, labels, part)


def _refuse_fraction(root: Path, args: ReaderArgs) -> None:
    if args.test_fraction is not None:
        raise UsageError(f"{root} has a fixed split, so there can be no test fraction")


def random_split(
    root: Path, args: ReaderArgs, without: frozenset[str] = frozenset()
) -> list[RawSplit]:
    """Return training and test images of ``root/CLASS/…``, a random part of each class for testing.

    Args:
        root: the folder.
        args: fraction of test images and seed.
        without: classes to leave out.

    Raises:
        UserError: there is no class, or one has fewer than two images or cannot be read.
    """
    fraction = args.test_fraction or DEFAULT_TEST_FRACTION
    names: tuple[list[str], list[str]] = ([], [])
    labels: tuple[list[str], list[str]] = ([], [])
    for label, files in _images_by_class(root).items():
        if label in without:
            continue
        if len(files) < 2:
            raise UserError(
                f"class {label} in {root} has fewer than 2 images, too few for training and "
                "testing: add images, or move its folder away"
            )
        count = min(max(1, round(fraction * len(files))), len(files) - 1)
        test = first_by_name("test", args.subset_seed, files, count)
        for file in files:
            names[file in test].append(file)
            labels[file in test].append(label)
    return [file_split(root, *split) for split in zip(names, labels, strict=True)]


def _images_by_class(folder: Path) -> dict[str, list[str]]:
    """List the images below each subfolder by paths relative to ``folder``; warn of other files.

    Raises:
        UserError: there are no subfolders, or one of them contains no images, cannot be read, or
            has a name that is not UTF-8.
    """
    entries = list_folder(folder)
    classes = [entry for entry in entries if os.path.isdir(entry)]
    if not classes:
        raise UserError(f"{folder} has no subfolders with images of one class each")
    loose = [path for path in entries if path not in classes]
    skipped = [path.name for path in loose if path.suffix.lower() in IMAGE_SUFFIXES]
    images = {}
    for entry in classes:
        label = _readable(entry)
        files, others, unreadable = images_below(entry)
        if unreadable:
            raise unreadable[0]
        if not files:
            raise UserError(f"{entry} contains no images")
        images[label] = [f"{label}/{name}" for name in files]
        skipped += [f"{label}/{name}" for name in others if not _is_hidden(name)]
    if skipped:
        logger.warning(
            "%d files in %s are left out: in no class, or not images: %s",
            len(skipped),
            folder,
            printable(listing(skipped)),
        )
    return images


def _is_hidden(name: str) -> bool:
    return name.rpartition("/")[2].startswith(".")


def _readable(folder: Path) -> str:
    """Return the name of a folder, checking that it can be written to text files as a class."""
    try:
        folder.name.encode()
    except UnicodeEncodeError as error:
        shown = ascii(folder.name)
        raise UserError(f"class {shown} in {folder.parent}: rename it, in UTF-8") from error
    return folder.name
