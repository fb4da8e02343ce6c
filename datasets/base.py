"""Data sets of any kind of samples: the contract between readers, training and evaluation."""

import logging
import os
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from utils import Registry, UsageError, UserError, list_folder, listing, repeated

logger = logging.getLogger(__name__)

DATASETS = Registry("data set")
"""Readers by base name: functions of a ``ReaderArgs`` that return a ``RawDataset``.

A parameter ``part`` receives the text after an underscore in the name, in lower case.
"""


@dataclass(frozen=True)
class ReaderArgs:
    """Arguments of a reader."""

    root: Path | None = None  # folder of the data set, or None
    # training samples to keep of each class, or None for all; readers may ignore it
    per_class: int | None = None
    subset_seed: int = 0  # seed of all random choices of samples
    test_fraction: float | None = None  # part of the samples used for testing, in (0, 1), or None
    # whether all samples are for testing, so that there is no training split
    all_test: bool = False


@dataclass(frozen=True)
class RawSplit:
    """Samples with their original labels, as a reader finds them."""

    samples: Sequence  # an array, or a sequence that reads samples on access
    labels: Sequence[int] | Sequence[str]  # original label of each sample, all int or all str
    names: Sequence[str]  # file path of each sample relative to the root, or its index

    def select(self, indices: Sequence[int] | np.ndarray) -> Self:
        """Return the samples at these indices; ``samples`` must be an array."""
        labels = [self.labels[i] for i in indices]
        return RawSplit(self.samples[indices], labels, [self.names[i] for i in indices])


@dataclass(frozen=True)
class RawDataset:
    """Return value of a reader; each kind of samples adds its own settings."""

    train: RawSplit | None  # training samples, or None if all are for testing
    test: RawSplit  # test samples
    _: KW_ONLY
    validation: RawSplit | None = None  # validation samples, if the data set has such a split
    # class names by original label; missing classes are named by their label
    class_names: Mapping[int | str, str] = field(default_factory=dict)
    # size of a whole class, which determines the repetitions of a subset; None: the number of
    # samples does
    full_per_class: int | None = None
    is_subset: bool = False  # whether the reader kept only ``ReaderArgs.per_class`` samples


@dataclass(frozen=True, eq=False)
class Split(Sequence):
    """Samples for training, validation or testing."""

    samples: Sequence  # an array, or a sequence that reads samples on access; splits may share it
    positions: np.ndarray  # int64 (n,), of the split's samples within ``samples``
    labels: np.ndarray  # int64 (n,), class positions: indices of ``Dataset.labels``
    names: Sequence[str]  # file path relative to the root, or the index as a string, of each sample

    @classmethod
    def whole(cls, samples: Sequence, labels: np.ndarray, names: Sequence[str]) -> Self:
        """Return the split of all samples."""
        return cls(samples, np.arange(len(labels)), labels, tuple(names))

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, index: int):
        return self.samples[int(self.positions[index])]

    def batch(self, indices: np.ndarray) -> np.ndarray | Sequence:
        """Return samples of the split: an array if they are in memory, else read on access."""
        if isinstance(self.samples, np.ndarray):
            return self.samples[self.positions[indices]]
        return self.select(indices)

    def select(self, indices: np.ndarray) -> Self:
        """Return the split of the samples at these indices."""
        names = tuple(self.names[i] for i in indices)
        return Split(self.samples, self.positions[indices], self.labels[indices], names)


class Transform(ABC):
    """Preparation of samples for the network."""

    @abstractmethod
    def __call__(self, sample, rng: np.random.Generator | None = None) -> np.ndarray:
        """Transform one sample; in training randomly, with all random numbers from ``rng``."""

    @abstractmethod
    def batch(self, samples: Sequence, generators: Iterable[np.random.Generator]) -> np.ndarray:
        """Transform many samples into one array, with the same result as one by one.

        ``samples`` are an array or read on access; each generator is used before the next one.
        """


class Mixing(ABC):
    """A way to mix the samples of a training batch with each other."""

    @abstractmethod
    def __call__(
        self, samples: np.ndarray, partners: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, float]:
        """Mix samples with their partners.

        Args:
            samples: transformed samples, (n, …); may be changed.
            partners: position of the partner of each of the first b samples, (b,).
            rng: source of random parameters, which are the same for all samples.

        Returns:
            The first b samples, mixed, and the share of the partners in them, in [0, 1].
        """


@dataclass(frozen=True, eq=False, kw_only=True)
class Dataset(ABC):
    """A data set for classification, with everything that training needs to know about it."""

    noun: ClassVar[str]  # what messages call its samples, such as "images"
    name: str  # its name, with suffixes
    train: Split | None  # training samples, each of them once; None if all are for testing
    test: Split  # test samples
    validation: Split | None = None  # held-out samples that epochs are evaluated on, or None
    labels: tuple[int, ...] | tuple[str, ...]  # original label of each class
    class_names: tuple[str, ...]  # name of each class
    repeats: int = 1  # passes over ``train`` in an epoch
    mixing: Mixing | None = None  # for training batches; None: each sample has one label

    @property
    @abstractmethod
    def train_transform(self) -> Transform:
        """The random augmentation of training samples."""

    @property
    @abstractmethod
    def test_transform(self) -> Transform:
        """The deterministic preprocessing of test and validation samples."""

    @property
    @abstractmethod
    def input_shape(self) -> tuple[int, ...]:
        """The shape of a transformed sample."""

    @property
    @abstractmethod
    def input_options(self) -> dict[str, object]:
        """The arguments of the network's first layer, as JSON values.

        Raises:
            ValueError: they depend on the training samples, which have not been measured yet.
        """

    @property
    @abstractmethod
    def inference_options(self) -> dict[str, object]:
        """The fields of ``ModelDescription`` that say how to preprocess samples for the model."""

    @property
    def input_weights(self) -> Sequence[np.ndarray]:
        """The weights of the network's first layer that come with the data and stay fixed."""
        return ()

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return len(self.labels)

    @property
    def splits(self) -> dict[str, Split]:
        """The splits that exist, by the name of their attribute."""
        splits = {name: getattr(self, name) for name in ("train", "validation", "test")}
        return {name: split for name, split in splits.items() if split is not None}

    def restrict(self, labels: Sequence[int | str]) -> Self:
        """Return the data set with only the classes of these original labels, in this order.

        Labels are compared as text, so ``"3"`` finds the class 3.

        Raises:
            UsageError: a label does not exist or occurs twice, or none is given.
        """
        positions = self._class_positions([str(label) for label in labels])
        new_position = np.full(self.num_classes, -1)
        new_position[positions] = np.arange(len(positions))
        restricted = replace(
            self,
            **{name: _renumbered(split, new_position) for name, split in self.splits.items()},
            labels=tuple(self.labels[i] for i in positions),
            class_names=tuple(self.class_names[i] for i in positions),
        )
        check_classes(restricted)
        return restricted

    def _class_positions(self, wanted: list[str]) -> list[int]:
        known = {str(label): i for i, label in enumerate(self.labels)}
        unknown = [label for label in wanted if label not in known]
        if unknown:
            raise UsageError(
                f"{len(unknown)} of {len(wanted)} class labels are not among those of {self.name}: "
                f"{listing(unknown)}; its {len(known)} labels look like {listing(known)}"
            )
        if not wanted:
            raise UsageError("the list of class labels is empty")
        if twice := repeated(wanted):
            raise UsageError(f"class labels are listed more than once: {listing(twice)}")
        return [known[label] for label in wanted]


def numbered(name: str, raw: RawDataset) -> dict[str, object]:
    """Return name, splits, labels and class names of a data set, with classes sorted by label."""
    parts = {"train": raw.train, "validation": raw.validation, "test": raw.test}
    parts = {split: part for split, part in parts.items() if part is not None}
    labels = tuple(sorted({label for part in parts.values() for label in part.labels}))
    _check_distinguishable(name, labels)
    position = {label: i for i, label in enumerate(labels)}

    def split(found: RawSplit) -> Split:
        classes = np.array([position[label] for label in found.labels], dtype=np.int64)
        return Split.whole(found.samples, classes, found.names)

    return {
        "name": name,
        "train": None,
        **{key: split(part) for key, part in parts.items()},
        "labels": labels,
        "class_names": tuple(str(raw.class_names.get(label, label)) for label in labels),
    }


def _check_distinguishable(name: str, labels: tuple[int, ...] | tuple[str, ...]) -> None:
    """Refuse labels that look the same but differ in Unicode form or white space."""
    seen = {}
    for label in labels:
        shown = " ".join(unicodedata.normalize("NFC", str(label)).split())
        other = seen.setdefault(shown, label)
        if other != label:
            raise UserError(
                f"{name}: the names of the classes {other!a} and {label!a} look the same: "
                "make them one class, or rename one"
            )


def check_classes(dataset: Dataset) -> None:
    """Check every split of the data set, see ``check_split``."""
    for name in dataset.splits:
        check_split(dataset, name)


def check_split(dataset: Dataset, name: str) -> None:
    """Check that every class has training samples; warn if it lacks others.

    Raises:
        UserError: the split is empty, or a class has no training sample.
    """
    split, kind = dataset.splits[name], "training" if name == "train" else name
    if not len(split):
        raise UserError(f"{dataset.name} has no {kind} {dataset.noun}")
    counts = np.bincount(split.labels, minlength=dataset.num_classes)
    empty = [dataset.labels[i] for i in np.flatnonzero(counts == 0)]
    message = (
        f"{len(empty)} classes of {dataset.name} have no {kind} {dataset.noun}: {listing(empty)}"
    )
    if empty and name == "train":
        raise UserError(message)
    if empty:
        logger.warning(message)


def require_root(args: ReaderArgs, name: str, *files: str) -> Path:
    """Return the folder of a data set, which must contain these files.

    Raises:
        UsageError: no folder was given.
        UserError: it does not exist, is not a folder or cannot be read, or a file is missing.
    """
    if args.root is None:
        raise UsageError(f"{name} is read from files: give their folder, --data_root DIR")
    if not os.path.isdir(args.root):
        raise UserError(f"the data folder {args.root} does not exist or is not a folder")
    list_folder(args.root)
    require_files(args.root, name, *files)
    return args.root


def require_files(root: Path, name: str, *files: str) -> None:
    """Raise UserError unless a folder has all files of the data set."""
    missing = [file for file in files if not os.path.isfile(root / file)]
    if missing:
        raise UserError(f"{root} does not contain {name}: there is no {listing(missing)}")


def _renumbered(split: Split, new_position: np.ndarray) -> Split:
    """Keep the samples of classes that have a new position; -1 means none."""
    kept = split.select(np.flatnonzero(new_position[split.labels] >= 0))
    return replace(kept, labels=new_position[kept.labels].astype(np.int64))
