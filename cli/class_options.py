"""Options about classes that several commands share: taxonomies, class lists, class weights."""

import argparse
import csv
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cli.arguments import user_path
from datasets.base import Dataset
from embeddings.shipped import taxonomy_names
from embeddings.taxonomy.files import read_taxonomy
from embeddings.taxonomy.tree import Label, Taxonomy
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


def add_hierarchy_options(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """Add the taxonomy options."""
    add = parser.add_argument_group("taxonomy").add_argument
    add(
        "--hierarchy",
        required=required,
        metavar="NAME|FILE",
        help=f"name of an included taxonomy, {', '.join(taxonomy_names())}; or a file: an outline "
        "in the same format, or one pair of IDs per line, PARENT CHILD",
    )
    add("--is_a", action="store_true", help="lines are CHILD PARENT instead of PARENT CHILD")
    add("--str_ids", action="store_true", help="IDs are text instead of numbers")


def add_class_list(parser: argparse.ArgumentParser, meaning: str) -> None:
    """Add the option ``--class_list``, with its ``meaning`` as help text."""
    parser.add_argument(
        "--class_list",
        type=user_path,
        help=f"{meaning}; the first word of each line is a class label",
    )


def add_classes_from(parser: argparse._ActionsContainer, meaning: str) -> None:
    """Add the option ``--classes_from``, with its ``meaning`` as help text."""
    parser.add_argument(
        "--classes_from",
        metavar="NAME|FILE",
        help=f"file of class embeddings, or the name of included ones: {meaning}",
    )


def open_taxonomy(args: argparse.Namespace) -> tuple[Taxonomy, tuple[Label, ...]]:
    """Read the taxonomy and the labels of the classes to use, by default all leaves."""
    taxonomy = read_taxonomy(args.hierarchy, args.is_a, args.str_ids)
    if not args.class_list:
        return taxonomy, taxonomy.leaf_labels
    known = [label for label in taxonomy.labels if label is not None]
    nodes = taxonomy.nodes(read_class_list(args.class_list, known))
    return taxonomy, tuple(taxonomy.labels[i] for i in nodes)


def read_class_list(path: Path, labels: Sequence[int | str]) -> list[str]:
    """Read class labels: the first word of each line, or the whole line if that is a label.

    ``labels`` are the labels of the data set, which may contain spaces.
    """
    known = {str(label) for label in labels}
    return [line if line in known else line.split()[0] for line in read_lines(path)]
