"""Background images from a folder or another data set."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from datasets import get_dataset
from datasets.base import Dataset, Split
from datasets.images.augmentation.preprocessing import Preprocessing
from datasets.images.dataset import ImageDataset
from datasets.images.files import FileImages
from datasets.images.finding import images_below
from datasets.names import parse_name
from utils import UsageError, listing


def open_background(source: str, root: Path | None, known: Dataset) -> Split:
    """Return background images with the size and channels of the known ones.

    Args:
        source: name of a data set, whose training images are used, or a folder, whose images are
            used including those in subfolders.
        root: folder of the data set.
        known: the data set that is trained on.

    Raises:
        UsageError: there is no such data set or folder, or its images have other channels or one of
            the known classes.
        UserError: they cannot be read.
    """
    if not isinstance(known, ImageDataset):
        raise UsageError(f"--background {source}: {known.name} has documents, not images")
    classes, split = _of_folder(source, known) or _of_dataset(source, root, known)
    ours = {name.casefold() for name in known.class_names}
    shared = sorted(name for name in classes if name.casefold() in ours)
    if shared:
        raise UsageError(
            f"--background {source}: shares {listing(shared)} with the classes of {known.name}; "
            "background images have to be of other classes"
        )
    return _fitting(split, known)


def _of_folder(source: str, known: ImageDataset) -> tuple[set[str], Split] | None:
    """Return the names of all subfolders, and the images; None if ``source`` is not a folder."""
    folder = Path(os.path.expanduser(source))
    if not os.path.isdir(folder):
        return None
    names, _, unreadable = images_below(folder)
    if unreadable:
        raise unreadable[0]
    if not names:
        raise UsageError(f"--background {source}: there are no images in this folder")
    images = FileImages([folder / name for name in names], known.channels)
    folders = {part for name in names for part in Path(name).parts[:-1]}
    return folders, Split.whole(images, np.zeros(len(names), np.int64), names)


def _of_dataset(source: str, root: Path | None, known: ImageDataset) -> tuple[set[str], Split]:
    try:
        parse_name(source)
    except UsageError as error:
        raise UsageError(f"--background {source}: no such folder, and {error}") from error
    dataset = get_dataset(source, root)
    if dataset.channels != known.channels:
        raise UsageError(
            f"--background {source}: its images have {dataset.channels} channels, those of "
            f"{known.name} {known.channels}"
        )
    return set(dataset.class_names), dataset.train


def _fitting(split: Split, known: ImageDataset) -> Split:
    """Return the images in the size of the known ones, unless the augmentation crops them."""
    shape = known.input_shape
    fits = isinstance(split.samples, np.ndarray) and split.samples.shape[1:] == shape
    if known.preprocessing.crop_size is not None or fits:
        return split
    return Split(
        _Resized(split.samples, min(shape[:2])), split.positions, split.labels, split.names
    )


class _Resized(Sequence):
    """Images resized and cropped to squares of ``side`` pixels."""

    def __init__(self, images: Sequence, side: int):
        self.images = images
        self._prepare = Preprocessing(test_size=side, crop_size=side).test

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> np.ndarray:
        return self._prepare(self.images[index])
