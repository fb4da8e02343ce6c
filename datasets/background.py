"""Background images, which belong to none of the known classes: opening them, and their batches.

Source: Cevikalp and Saribas, https://arxiv.org/abs/2212.11747; Dhamija et al., Reducing Network
Agnostophobia (NeurIPS 2018), https://arxiv.org/abs/1811.04110.
"""

import os
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from datasets import get_dataset
from datasets.base import Dataset, Split
from datasets.batches import BACKGROUND, Batches
from datasets.images.augmentation.preprocessing import ResizedImages
from datasets.images.dataset import ImageDataset
from datasets.images.files import FileImages
from datasets.images.finding import images_below
from datasets.names import parse_name
from utils import UsageError, generator, generators, listing


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
            "background images must be of other classes"
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
    side = min(shape[:2])
    return replace(split, samples=ResizedImages(split.samples, side, side))


class BatchesWithBackground(Batches):
    """Batches whose second half consists of background images with the label ``BACKGROUND``.

    They are preprocessed like the training images, and have their own random order, which depends
    only on seed and epoch. If there are more than needed, every epoch has a new random selection;
    if there are fewer, they are repeated.

    Args:
        *args: arguments of ``Batches``.
        background: the images; their labels are ignored.
        **options: options of ``Batches``.
    """

    def __init__(self, *args: object, background: Split, **options: object):
        self.background = background
        self._order = lru_cache(2)(self._drawn)  # of this epoch, and of one that is read ahead
        super().__init__(*args, **options)

    def _drawn(self, epoch: int) -> np.ndarray:
        rng = generator("background order", self.seed, epoch)
        needed, count = self.per_pass * self.repeats, len(self.background)
        rounds = -(-needed // count)
        return np.concatenate([rng.permutation(count) for _ in range(rounds)])[:needed]

    def _make(self, epoch: int, orders: list[np.ndarray], index: int):
        images, targets = super()._make(epoch, orders, index)
        passes, first = divmod(index, self._batches_per_pass)
        start = passes * self.per_pass + first * self.batch_size
        positions = np.arange(start, start + len(images))
        samples = self.background.batch(self._order(epoch)[positions])
        each = generators("background augmentation", self.seed, epoch, positions=positions)
        images = np.concatenate([images, self._transformed(samples, each)])
        none = np.full(len(positions), BACKGROUND, np.int32)
        if isinstance(targets, tuple):
            return images, tuple(np.concatenate([labels, none]) for labels in targets)
        return images, np.concatenate([targets, none])
