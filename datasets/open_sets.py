"""Splits of data sets into known and unknown classes.

In ``first:N``, the first N classes of a data set are known. The others were published by Chen et
al., "Adversarial reciprocal points learning for open set recognition" (TPAMI 2021), and later
papers use them, too: five for each data set, ``arpl:0`` to ``arpl:4``, in the published order. In
``arpl+10:N`` and ``arpl+50:N``, four classes of CIFAR-10 are known, and 10 or 50 of CIFAR-100 are
unknown.
"""

import re
from dataclasses import dataclass

from datasets.base import Dataset
from datasets.names import parse_name
from utils import UsageError

_SPLIT = re.compile(r"(arpl|arpl\+10|arpl\+50):([0-4])|(first):([1-9][0-9]{0,5})")
_CLASSES = {"Tiny-ImageNet": 200}  # the others have 10
OTHER = "CIFAR-100"
"""Data set of the unknown classes of ``arpl+10:N`` and ``arpl+50:N``."""

# Positions among the sorted labels, in the order of the model's classes.
_KNOWN = {
    ("arpl", "MNIST"): (
        "2, 4, 5, 9, 8, 3",
        "3, 2, 6, 9, 4, 0",
        "5, 8, 3, 2, 4, 6",
        "3, 7, 8, 4, 0, 5",
        "6, 3, 4, 9, 8, 2",
    ),
    ("arpl", "SVHN"): (
        "5, 3, 7, 2, 8, 6",
        "3, 8, 7, 6, 2, 5",
        "8, 9, 4, 7, 2, 1",
        "3, 8, 2, 5, 0, 6",
        "4, 9, 2, 7, 1, 0",
    ),
    ("arpl", "CIFAR-10"): (
        "0, 6, 4, 9, 1, 7",
        "7, 6, 4, 9, 0, 1",
        "1, 5, 7, 3, 9, 4",
        "8, 6, 1, 9, 0, 7",
        "2, 4, 1, 7, 9, 6",
    ),
    ("arpl+10", "CIFAR-10"): (
        "4, 7, 9, 1",
        "6, 7, 1, 9",
        "9, 6, 1, 7",
        "6, 4, 9, 1",
        "1, 0, 9, 8",
    ),
    ("arpl", "Tiny-ImageNet"): (
        "108, 147, 17, 58, 193, 123, 72, 144, 75, 167, 134, 14, 81, 171, 44, 197, 152, 66, 1, 133",
        "198, 161, 91, 59, 57, 134, 61, 184, 90, 35, 29, 23, 199, 38, 133, 19, 186, 18, 85, 67",
        "177, 0, 119, 26, 78, 80, 191, 46, 134, 92, 31, 152, 27, 60, 114, 50, 51, 133, 162, 93",
        "98, 36, 158, 177, 189, 157, 170, 191, 82, 196, 138, 166, 43, 13, 152, 11, 75, 174, "
        "193, 190",
        "95, 6, 145, 153, 0, 143, 31, 23, 189, 81, 20, 21, 89, 26, 36, 170, 102, 177, 108, 169",
    ),
}
_KNOWN["arpl+50", "CIFAR-10"] = _KNOWN["arpl+10", "CIFAR-10"]
_PLUS_10 = (
    "30, 25, 1, 9, 8, 0, 46, 52, 49, 71",
    "41, 9, 49, 40, 73, 60, 48, 30, 95, 71",
    "8, 9, 49, 40, 73, 60, 48, 95, 30, 71",
    "95, 60, 30, 73, 46, 49, 68, 99, 8, 71",
    "33, 2, 3, 97, 46, 21, 64, 63, 88, 43",
)
# Without the ten of the same trial above, which are appended.
_PLUS_50 = (
    "27, 94, 29, 77, 88, 26, 69, 48, 75, 5, 59, 93, 39, 57, 45, 40, 78, 20, 98, 47, 66, 70, "
    "91, 76, 41, 83, 99, 32, 53, 72, 2, 95, 21, 73, 84, 68, 35, 11, 55, 60",
    "65, 97, 86, 24, 45, 67, 2, 3, 91, 98, 79, 29, 62, 82, 33, 76, 0, 35, 5, 16, 54, 11, "
    "99, 52, 85, 1, 25, 66, 28, 84, 23, 56, 75, 46, 21, 72, 55, 68, 8, 69",
    "20, 83, 65, 97, 94, 2, 93, 16, 67, 29, 62, 33, 24, 98, 5, 86, 35, 54, 0, 91, 52, 66, "
    "85, 84, 56, 11, 1, 76, 25, 55, 21, 99, 72, 41, 23, 75, 28, 68, 69, 46",
    "92, 82, 77, 64, 5, 33, 62, 56, 70, 0, 20, 28, 67, 14, 84, 53, 91, 29, 85, 2, 52, 83, "
    "75, 35, 11, 21, 72, 98, 55, 1, 41, 76, 25, 66, 69, 9, 48, 54, 40, 23",
    "47, 6, 19, 0, 62, 93, 59, 65, 54, 70, 34, 55, 23, 38, 72, 76, 53, 31, 78, 96, 77, 27, "
    "92, 18, 82, 50, 98, 32, 1, 75, 83, 4, 51, 35, 80, 11, 74, 66, 36, 42",
)


@dataclass(frozen=True)
class OpenSet:
    """Known and unknown classes.

    Attributes:
        known: labels of the known classes, in order.
        unknown: labels of the unknown ones.
        source: name of the data set of the unknown classes; None: the same as the known ones'.
    """

    known: tuple[int | str, ...]
    unknown: tuple[int | str, ...]
    source: str | None = None


def parse_split(text: str) -> tuple[str, int]:
    """Return kind and number of a split, like ``arpl:0``.

    Raises:
        UsageError: there is no such split.
    """
    match = _SPLIT.fullmatch(text)
    if not match:
        raise UsageError(
            f"unknown split {text!r}; known are arpl:N, arpl+10:N and arpl+50:N, N from 0 to 4, "
            "and first:N"
        )
    return match[1] or match[3], int(match[2] or match[4])


def split_classes(text: str, dataset: Dataset) -> OpenSet:
    """Return the known and unknown classes of a split.

    Args:
        text: name of the split, see ``parse_split``.
        dataset: the data set of the known classes, with all of its classes.

    Raises:
        UsageError: the data set has no such split, or lacks classes.
    """
    kind, trial = parse_split(text)
    if kind == "first":
        return _first(trial, text, dataset)
    name = parse_name(dataset.name).base
    if (kind, name) not in _KNOWN:
        there = ", ".join(known for other, known in _KNOWN if other == kind)
        raise UsageError(f"there is no split {text} of {dataset.name}, but of {there}")
    classes = _CLASSES.get(name, 10)
    if dataset.num_classes != classes:
        raise UsageError(
            f"the split {text} is of the {classes} classes of {name}, but here there are "
            f"{dataset.num_classes}"
        )
    known = tuple(dataset.labels[i] for i in _numbers(_KNOWN[kind, name][trial]))
    if kind == "arpl":
        return OpenSet(known, tuple(label for label in dataset.labels if label not in known))
    unknown = _PLUS_10[trial] if kind == "arpl+10" else f"{_PLUS_50[trial]}, {_PLUS_10[trial]}"
    return OpenSet(known, _numbers(unknown), OTHER)


def _first(count: int, text: str, dataset: Dataset) -> OpenSet:
    if count > dataset.num_classes:
        raise UsageError(
            f"the split {text} is of {count} classes, but {dataset.name} has {dataset.num_classes}"
        )
    return OpenSet(dataset.labels[:count], dataset.labels[count:])


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(",")))
