"""What a data set is: the contract between its readers, the commands and the batches."""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from datasets.images.normalization import Normalization, measure
from datasets.images.preprocessing import Preprocessing
from utils import Registry, UsageError, UserError, list_folder, listing

logger = logging.getLogger(__name__)

DATASETS = Registry("data set")
"""Readers by base name: functions of a ``ReaderArgs`` that return a ``RawDataset``."""


@dataclass(frozen=True)
class ReaderArgs:
    """What a reader is asked for.

    Attributes:
        root: folder of the data set, or None.
        per_class: training images wanted of each class, or None for all; readers may ignore it.
        subset_seed: seed of all random choices of images.
        test_fraction: part of the images used for testing, in (0, 1), or None.
        part: what stands behind an underscore in the name, in lower case: a supercategory.
    """

    root: Path | None = None
    per_class: int | None = None
    subset_seed: int = 0
    test_fraction: float | None = None
    part: str | None = None


@dataclass(frozen=True)
class RawSplit:
    """Images with their original labels, as a reader finds them.

    Attributes:
        images: ``images[i]`` is uint8 (height, width, channels).
        labels: original label of each image, all int or all str.
        names: file path of each image relative to the root, or its index.
    """

    images: Sequence
    labels: Sequence[int] | Sequence[str]
    names: Sequence[str]


@dataclass(frozen=True)
class RawDataset:
    """What a reader returns.

    Attributes:
        train: training images.
        test: test images.
        preprocessing: default sizes and augmentation.
        class_names: names by original label; a class that is missing is named by its label.
        channels: 3 for RGB, 1 for gray.
        normalization: published mean and standard deviation, or None to measure them.
        full_per_class: size of a whole class, from which the number of repetitions of a subset
            follows; None: it follows from the number of images.
        is_subset: whether the reader has already kept only ``ReaderArgs.per_class`` images.
    """

    train: RawSplit
    test: RawSplit
    preprocessing: Preprocessing
    class_names: Mapping[int | str, str] = field(default_factory=dict)
    channels: int = 3
    normalization: Normalization | None = None
    full_per_class: int | None = None
    is_subset: bool = False


class Selected(Sequence):
    """Some images of a sequence, in any order and as often as wanted, without copying them.

    Args:
        images: the sequence.
        positions: int (n,), positions within it.
    """

    def __init__(self, images: Sequence, positions: np.ndarray):
        nested = isinstance(images, Selected)
        self.images = images.images if nested else images
        self.positions = images.positions[positions] if nested else np.asarray(positions)

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.images[int(self.positions[index])]


def images_at(images: Sequence, positions: np.ndarray) -> Sequence | np.ndarray:
    """The images at these positions: an array if they are in one, else read when asked for."""
    if isinstance(images, Selected):
        return images_at(images.images, images.positions[positions])
    if isinstance(images, np.ndarray):
        return images[positions]
    return Selected(images, positions)


@dataclass(frozen=True, eq=False)
class Split:
    """Images for training or for testing.

    Attributes:
        images: ``images[i]`` is uint8 (height, width, channels): an array (n, height, width,
            channels) or a sequence that reads files when asked.
        labels: int64 (n,), positions in ``ImageDataset.labels``.
        names: file path relative to the root, or the index as a string, of each image.
    """

    images: Sequence
    labels: np.ndarray
    names: Sequence[str]

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, positions: np.ndarray) -> "Split":
        """The images at these positions, which may repeat."""
        names = tuple(self.names[i] for i in positions)
        return Split(Selected(self.images, positions), self.labels[positions], names)

    def repeated(self, times: int) -> "Split":
        """All images ``times`` times, one whole copy after the other."""
        return self if times == 1 else self.select(np.tile(np.arange(len(self)), times))


@dataclass(frozen=True, eq=False)
class ImageDataset:
    """A data set for image classification.

    Attributes:
        name: its name, with suffixes.
        train: training images, repeated ``repeats`` times.
        test: test images.
        labels: original label of each class.
        class_names: name of each class.
        channels: 3 for RGB, 1 for gray.
        preprocessing: sizes and augmentation.
        fixed_normalization: published mean and standard deviation, or None to measure them.
        repeats: how often each training image occurs in ``train``.
        validation: training images that are held out, or None.
    """

    name: str
    train: Split
    test: Split
    labels: tuple[int, ...] | tuple[str, ...]
    class_names: tuple[str, ...]
    channels: int
    preprocessing: Preprocessing
    fixed_normalization: Normalization | None = None
    repeats: int = 1
    validation: Split | None = None

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return len(self.labels)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the preprocessed images."""
        side = self.preprocessing.crop_size
        if side is None:
            return tuple(int(length) for length in self.train.images[0].shape)
        return side, side, self.channels

    @cached_property
    def normalization(self) -> Normalization:
        """Mean and standard deviation per channel: the published ones, or else measured.

        Measuring reads every distinct training image once, whole and without augmentation.
        """
        if self.fixed_normalization is not None:
            return self.fixed_normalization
        images = self.train.images
        if self.repeats > 1:
            images = Selected(images, np.arange(len(self.train) // self.repeats))
        return measure(images, self.channels)

    def restrict(self, labels: Sequence[int | str]) -> "ImageDataset":
        """Keeps only the classes with these original labels, in this order.

        Args:
            labels: original labels, compared as text, so ``"3"`` finds the class 3.

        Raises:
            UsageError: a label does not exist or occurs twice, or none is given.
        """
        positions = self._positions([str(label) for label in labels])
        new_position = np.full(self.num_classes, -1)
        new_position[positions] = np.arange(len(positions))
        restricted = replace(
            self,
            train=_renumbered(self.train, new_position),
            test=_renumbered(self.test, new_position),
            validation=None
            if self.validation is None
            else _renumbered(self.validation, new_position),
            labels=tuple(self.labels[i] for i in positions),
            class_names=tuple(self.class_names[i] for i in positions),
        )
        check_classes(restricted)
        return restricted

    def _positions(self, wanted: list[str]) -> list[int]:
        known = {str(label): i for i, label in enumerate(self.labels)}
        unknown = [label for label in wanted if label not in known]
        if unknown:
            raise UsageError(
                f"{len(unknown)} of {len(wanted)} class labels do not exist in {self.name}: "
                f"{listing(unknown)}; its {len(known)} labels look like {listing(known)}"
            )
        if not wanted:
            raise UsageError("the list of class labels is empty")
        twice = [label for i, label in enumerate(wanted) if label in wanted[:i]]
        if twice:
            raise UsageError(f"class labels are listed more than once: {listing(twice)}")
        return [known[label] for label in wanted]


def assemble(name: str, raw: RawDataset) -> ImageDataset:
    """Makes a data set of what a reader found: classes are numbered by ascending label.

    Raises:
        UserError: there are no images, or a class has none for training.
    """
    labels = tuple(sorted({*raw.train.labels, *raw.test.labels}))
    position = {label: i for i, label in enumerate(labels)}
    splits = (
        Split(
            split.images,
            np.array([position[label] for label in split.labels], dtype=np.int64),
            tuple(split.names),
        )
        for split in (raw.train, raw.test)
    )
    class_names = tuple(str(raw.class_names.get(label, label)) for label in labels)
    train, test = splits
    return ImageDataset(
        name,
        train,
        test,
        labels,
        class_names,
        raw.channels,
        raw.preprocessing,
        raw.normalization,
    )


def check_classes(dataset: ImageDataset) -> None:
    """Makes sure that every class can be learned; one without other images is only reported.

    Raises:
        UserError: a class has no training image, or there are no images to test or to validate.
    """
    check_split(dataset, dataset.train, "training")
    if dataset.validation is not None:
        check_split(dataset, dataset.validation, "validation")
    check_split(dataset, dataset.test, "test")


def check_split(dataset: ImageDataset, split: Split, kind: str) -> None:
    """The same for one split.

    Args:
        dataset: has the classes.
        split: with these classes.
        kind: ``"training"``, ``"validation"`` or ``"test"``.

    Raises:
        UserError: it is empty, or a class has no training image.
    """
    if not len(split):
        raise UserError(f"{dataset.name} has no {kind} images")
    counts = np.bincount(split.labels, minlength=dataset.num_classes)
    empty = [dataset.labels[i] for i in np.flatnonzero(counts == 0)]
    message = f"{len(empty)} classes of {dataset.name} have no {kind} images: {listing(empty)}"
    if empty and kind == "training":
        raise UserError(message)
    if empty:
        logger.warning(message)


def require_root(args: ReaderArgs, name: str) -> Path:
    """The folder of a data set that needs one.

    Raises:
        UsageError: none was given.
        UserError: it does not exist, is no folder or cannot be read.
    """
    if args.root is None:
        raise UsageError(f"{name} is read from files: the folder they are in has to be given")
    if not os.path.isdir(args.root):
        raise UserError(f"the data folder {args.root} does not exist or is not a folder")
    list_folder(args.root)
    return args.root


def require_files(root: Path, name: str, *files: str) -> None:
    """Makes sure that a folder is that of the data set.

    Raises:
        UserError: one of the files is missing.
    """
    missing = [file for file in files if not os.path.isfile(root / file)]
    if missing:
        raise UserError(f"{root} does not contain {name}: there is no {listing(missing)}")


def _renumbered(split: Split, new_position: np.ndarray) -> Split:
    """The samples of classes that have a new position, -1 meaning none."""
    kept = split.select(np.flatnonzero(new_position[split.labels] >= 0))
    return replace(kept, labels=new_position[kept.labels].astype(np.int64))
