"""Class weights: balanced, or from a file."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from datasets.base import Dataset
from utils import UsageError, UserError, listing, read_lines

BALANCED = "balanced"

_SMALLEST, _LARGEST = map(float, (np.finfo(np.float32).tiny, np.finfo(np.float32).max))


def class_weights(given: str | Path | None, dataset: Dataset) -> np.ndarray | None:
    """Return the class weights that the option ``--class_weights`` asks for, or None.

    Balanced weights are n / (K n_c) for n training images, K classes, and n_c images of the class,
    as in scikit-learn: their mean over the training images is 1. Shape (classes,), float32.

    Raises:
        UsageError: the file does not have one weight above 0 for each class, or a class without
            training images is to be balanced.
    """
    if given is None:
        return None
    if given != BALANCED:
        return read_class_weights(given, [str(label) for label in dataset.labels])
    counts = np.bincount(dataset.train.labels, minlength=dataset.num_classes)
    if not counts.all():
        empty = [name for name, n in zip(dataset.class_names, counts, strict=True) if not n]
        raise UsageError(
            f"--class_weights balanced: no training {dataset.noun} of {listing(empty)}"
        )
    return np.float32(len(dataset.train) / (dataset.num_classes * counts))


def read_class_weights(path: Path, labels: Sequence[str]) -> np.ndarray:
    """Read the weights of all classes, float32 (classes,), in the order of ``labels``.

    Raises:
        UsageError: the file does not have one weight above 0 for each class.
        UserError: the file is missing or not CSV.
    """
    try:
        rows = list(csv.reader(read_lines(path), strict=True))
    except csv.Error as error:
        raise UserError(f"--class_weights {path}: {error}") from error
    known, found = {*labels}, {}
    for number, row in enumerate(rows):
        if number == 0 and [cell.strip().lower() for cell in row] == ["class", "weight"]:
            continue
        label, weight = _class_and_weight(path, row)
        if label not in known or label in found:
            why = "is listed twice" if label in found else "is not a class of the data set"
            raise UsageError(f"--class_weights {path}: {label!r} {why}")
        found[label] = weight
    if missing := [label for label in labels if label not in found]:
        raise UsageError(f"--class_weights {path}: has no weight for {listing(missing)}")
    return np.float32([found[label] for label in labels])


def _class_and_weight(path: Path, row: Sequence[str]) -> tuple[str, float]:
    try:
        label, weight = row[0].strip(), float(row[1])
    except (IndexError, ValueError):
        label, weight = "", math.nan
    # As float32, the weight must be neither 0 nor infinite.
    if len(row) != 2 or not _SMALLEST <= weight <= _LARGEST:
        text = ",".join(row)
        raise UsageError(
            f"--class_weights {path}: {text!r} is not CLASS,WEIGHT, with a weight above 0"
        )
    return label, weight
