"""CIFAR-10 and CIFAR-100, in their Python version.

https://www.cs.toronto.edu/~kriz/cifar.html
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from datasets.base import DATASETS, RawSplit, ReaderArgs, require_root
from datasets.images.augmentation.preprocessing import Preprocessing
from datasets.images.dataset import RawImageDataset
from storage.pickles import load_plain_pickle
from storage.rehearsal import rehearsed
from utils import UserError

_SIDE = 32  # pixels
_SHIFT = 0.15


class _Source(NamedTuple):
    """Files of a data set and the keys of their content."""

    train: Sequence[str]  # files of training images
    test: str  # file of test images
    labels: str  # key of the labels
    names: tuple[str, str]  # file of the class names, and their key
    preprocessing: Preprocessing


_CIFAR10 = _Source(
    train=[f"data_batch_{i}" for i in range(1, 6)],
    test="test_batch",
    labels="labels",
    names=("batches.meta", "label_names"),
    preprocessing=Preprocessing(shift=_SHIFT, zoom=(0.75, 1.25)),
)
_CIFAR100 = _Source(
    train=["train"],
    test="test",
    labels="fine_labels",
    names=("meta", "fine_label_names"),
    preprocessing=Preprocessing(shift=_SHIFT),
)


@DATASETS.register("CIFAR-10")
def read_cifar10(args: ReaderArgs, name: str = "CIFAR-10") -> RawImageDataset:
    """Read CIFAR-10."""
    return _read(args, name, _CIFAR10)


@DATASETS.register("CIFAR-100")
def read_cifar100(args: ReaderArgs, name: str = "CIFAR-100") -> RawImageDataset:
    """Read CIFAR-100 with its 100 fine classes."""
    return _read(args, name, _CIFAR100)


@DATASETS.register("CIFAR-100-a")
def read_cifar100_a(args: ReaderArgs) -> RawImageDataset:
    """Read the first half of CIFAR-100: fine labels 0 to 49."""
    return _with_classes(read_cifar100(args, "CIFAR-100-a"), range(50))


@DATASETS.register("CIFAR-100-b")
def read_cifar100_b(args: ReaderArgs) -> RawImageDataset:
    """Read the second half of CIFAR-100: fine labels 50 to 99."""
    return _with_classes(read_cifar100(args, "CIFAR-100-b"), range(50, 100))


@DATASETS.register("CIFAR-100-b-consec")
def read_cifar100_b_consec(args: ReaderArgs) -> RawImageDataset:
    """Read the second half of CIFAR-100 with labels from 0 to 49."""
    return _with_classes(read_cifar100(args, "CIFAR-100-b-consec"), range(50, 100), first_label=0)


def _with_classes(
    raw: RawImageDataset, labels: range, first_label: int | None = None
) -> RawImageDataset:
    """Keep the images of some classes; renumber the labels if ``first_label`` is given."""
    shift = 0 if first_label is None else first_label - labels.start

    def restricted(split: RawSplit) -> RawSplit:
        kept = split.select([i for i, label in enumerate(split.labels) if label in labels])
        return replace(kept, labels=[label + shift for label in kept.labels])

    return replace(
        raw,
        train=restricted(raw.train),
        test=restricted(raw.test),
        class_names={label + shift: name for label, name in raw.class_names.items()},
    )


def _read(args: ReaderArgs, name: str, source: _Source) -> RawImageDataset:
    root = require_root(args, name, *source.train, source.test)
    names_file, names_key = source.names
    return RawImageDataset(
        _read_split(root, source.train, source.labels),
        _read_split(root, [source.test], source.labels),
        preprocessing=source.preprocessing,
        class_names=_class_names(root / names_file, names_key),
    )


def _read_split(root: Path, files: Sequence[str], labels_key: str) -> RawSplit:
    batches = [_read_batch(root / file, labels_key) for file in files]
    images = np.concatenate([images for images, _ in batches])
    labels = [label for _, batch in batches for label in batch]
    return RawSplit(images, labels, list(map(str, range(len(images)))))


@rehearsed()
def _read_batch(path: Path, labels_key: str) -> tuple[np.ndarray, list[int]]:
    """Read images, uint8 (n, 32, 32, 3), and labels of one file."""
    content = _text_keys(path, load_plain_pickle(path, encoding="bytes"))
    missing = [key for key in ("data", labels_key) if key not in content]
    if missing:
        raise UserError(f"{path} is not a batch of CIFAR images: it has no {missing[0]!r}")
    pixels, labels = content["data"], content[labels_key]
    if not isinstance(pixels, np.ndarray):
        raise UserError(f"{path} is not a batch of CIFAR images: its data is not an array")
    if pixels.dtype != np.uint8 or pixels.ndim != 2 or pixels.shape[1] != 3 * _SIDE**2:
        raise UserError(
            f"{path}: expected uint8 images of {3 * _SIDE**2} values, "
            f"found {pixels.dtype} {pixels.shape}"
        )
    labels = labels.tolist() if isinstance(labels, np.ndarray) else labels
    if not isinstance(labels, list) or len(labels) != len(pixels):
        raise UserError(f"{path}: expected {len(pixels)} labels, found another number of them")
    if not all(type(label) is int for label in labels):
        raise UserError(f"{path}: expected {len(pixels)} labels, found some that are not numbers")
    images = pixels.reshape(-1, 3, _SIDE, _SIDE).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), labels


@rehearsed()
def _class_names(path: Path, key: str) -> dict[int, str]:
    if not os.path.isfile(path):
        return {}
    content = _text_keys(path, load_plain_pickle(path, encoding="bytes"))
    names = content.get(key, [])
    if not isinstance(names, list) or not all(isinstance(name, bytes | str) for name in names):
        raise UserError(f"{path}: {key} is not a list of names")
    return {label: _text(name) for label, name in enumerate(names)}


def _text_keys(path: Path, content) -> dict:
    if not isinstance(content, dict):
        raise UserError(f"{path} does not contain a dictionary")
    return {_text(k): value for k, value in content.items() if isinstance(k, bytes | str)}


def _text(value: bytes | str) -> str:
    """Decode bytes, which files written by Python 2 contain in place of text."""
    return value.decode("latin1") if isinstance(value, bytes) else value
