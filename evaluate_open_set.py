"""Evaluate open-set recognition: how well saved models detect images of classes they do not know.

Test images of known classes should be accepted and classified correctly, those of unknown classes
rejected. One pass over the images yields several scores. The results of models with the same
--label are averaged, or those of all models if there are no labels.
"""

import argparse
import logging
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from cli import arguments, class_options, console, data_options, model_options
from cli.arguments import add_files, add_labels, fraction, known, positive, refuse, user_path
from datasets import get_dataset
from datasets.base import Dataset
from datasets.images.dataset import ImageDataset
from datasets.names import parse_name
from datasets.open_sets import OpenSet, split_classes
from evaluation.open_set import SCORES, Entry
from storage.records import claim_reports, write_record_of
from utils import UsageError, listing

if TYPE_CHECKING:
    from evaluation.open_set.models import Result
    from models.files.description import ModelDescription

logger = logging.getLogger(__name__)
results = logging.getLogger("results")

_NEIGHBORS = 5
_FPRS = (0.01, 0.1)


def build_parser() -> argparse.ArgumentParser:
    """Build the argument parser."""
    parser = arguments.build_parser(__doc__)
    data_options.add_dataset_options(parser)
    data_options.add_loader_options(parser)
    _add_class_options(parser.add_argument_group("known and unknown classes"))
    _add_model_options(parser.add_argument_group("models"))
    _add_output_options(parser.add_argument_group("output"))
    return parser


def _add_class_options(group) -> None:
    data_options.add_known_options(group, several=True)
    group.add_argument(
        "--unknown",
        type=known(parse_name),
        metavar="NAME",
        help="data set of the unknown classes (default: the other classes of --dataset)",
    )
    group.add_argument(
        "--unknown_root",
        type=user_path,
        metavar="DIR",
        help="folder of the data set --unknown, or of CIFAR-100 for --split arpl+10:N and "
        "arpl+50:N",
    )


def _add_model_options(group) -> None:
    add = group.add_argument
    add_files(group, "--model", "saved with --model_dump, .keras or .h5", required=True)
    add_labels(
        group,
        "name of each model; models with the same name are averaged (default: its file name, and "
        "all are averaged)",
    )
    add(
        "--scores",
        nargs="+",
        choices=SCORES,
        metavar="NAME",
        help=f"any of {', '.join(SCORES)} (default: all that a model supports); knn, and distance "
        "for models without an embedding, also read the training images",
    )
    add(
        "--neighbors",
        type=positive,
        metavar="K",
        help="for the score knn: use the distance to the K-th nearest training image (default: "
        f"{_NEIGHBORS})",
    )
    add("--batch_size", type=positive, default=100, help="images per batch")


def _add_output_options(group) -> None:
    group.add_argument(
        "--fpr",
        type=fraction,
        nargs="+",
        default=list(_FPRS),
        help="false positive rates (share of unknown images accepted) at which to report the "
        f"correct classification rate, CCR (default: {' '.join(map(str, _FPRS))})",
    )
    arguments.add_report_options(group, "draw ROC and CCR curves, .png or .svg")


def evaluate(args: argparse.Namespace) -> None:
    """Evaluate each model on images of known and unknown classes; print and save the metrics."""
    from evaluation.open_set import reports
    from models.files.description import read_description
    from training.parallel import backend

    if args.scores and "knn" not in args.scores:
        refuse(args, ("neighbors",), "is for the score knn")
    entries = _entries(args)
    claim_reports(args.csv, args.plot, args.overwrite)
    backend.configure(0, mixed_precision=None)
    descriptions = {entry.path: read_description(entry.path) for entry in entries}
    dataset = _of_images(data_options.whole_dataset(args))
    pairs = [_known_and_unknown(args, e, descriptions[e.path], dataset) for e in entries]
    found = []
    for entry, (known_part, unknown_part) in zip(entries, pairs, strict=True):
        found += _evaluate_model(args, entry, known_part, unknown_part)
    results.info("Images of known and unknown classes of %s, in percent", dataset.name)
    for line in ("", *reports.table(found)):
        results.info("%s", line)
    if means := reports.averages_table(found):
        for line in ("", *means):
            results.info("%s", line)
    if args.csv:
        reports.write(args.csv, found)
        summary, averages = reports.summary(found), reports.averages(found)
        write_record_of(args.csv, vars(args), results=summary, averages=averages)
    if args.plot:
        reports.plot(args.plot, found)


def _entries(args: argparse.Namespace) -> list[Entry]:
    """Return the models to evaluate.

    Raises:
        UsageError: there are more or fewer names or splits than models.
    """
    files = model_options.model_names(args.model, None)
    groups = args.label or ["all models"] * len(files)
    if len(groups) != len(files):
        raise UsageError(f"--label: {len(groups)} names for {len(files)} models")
    times = Counter(groups)
    names = [
        file if not args.label else group if times[group] == 1 else f"{group}, {file}"
        for file, group in zip(files, groups, strict=True)
    ]
    splits = model_options.per_model("--split", args.split or [None], len(files))
    return [Entry(*row) for row in zip(names, args.model, groups, splits, strict=True)]


def _of_images(dataset: Dataset) -> ImageDataset:
    if not isinstance(dataset, ImageDataset):
        raise UsageError(f"{dataset.name} has documents, not images")
    return dataset


def _known_and_unknown(
    args: argparse.Namespace, entry: Entry, description: "ModelDescription", dataset: ImageDataset
) -> tuple[ImageDataset, ImageDataset]:
    """Return the data sets of known and unknown classes, with images of the model's input size.

    Raises:
        UsageError: the model knows other classes, or no class is unknown.
    """
    from evaluation.classification import matching

    classes = _classes(args, entry, description, dataset)
    matching.check_same_classes(entry.path, description, classes.known, entry.split or args.known)
    known_part = matching.matched(dataset, {entry.path: description})
    unknown_part = _unknown_part(args, entry, classes, dataset)
    sizes = description, args.target_size, args.crop_size
    known_part, unknown_part = (
        matching.with_input_of(part, *sizes) for part in (known_part, unknown_part)
    )
    if known_part.input_shape != unknown_part.input_shape:
        raise UsageError(
            f"images of {unknown_part.name} have the shape {unknown_part.input_shape}, but the "
            f"model takes {known_part.input_shape}, as {known_part.name} has"
        )
    return known_part, unknown_part


def _unknown_part(
    args: argparse.Namespace, entry: Entry, classes: OpenSet, dataset: ImageDataset
) -> ImageDataset:
    if source := classes.source or args.unknown:
        other = _open_other(source, args.unknown_root)
        shared = sorted({*dataset.restrict(classes.known).class_names} & {*other.class_names})
        if shared:
            logger.warning(
                "%d classes of %s have the same names as known classes: %s",
                len(shared),
                other.name,
                listing(shared),
            )
        return other.restrict(classes.unknown) if classes.source else other
    if args.unknown_root:
        raise UsageError("--unknown_root is the folder of a data set: name it with --unknown")
    if not classes.unknown:
        raise UsageError(
            f"{entry.path} knows all {dataset.num_classes} classes of {dataset.name}, so none is "
            "unknown: give another data set with --unknown NAME"
        )
    return dataset.restrict(classes.unknown)


def _classes(
    args: argparse.Namespace, entry: Entry, description: "ModelDescription", dataset: ImageDataset
) -> OpenSet:
    """Return the known classes from the options, by default those of the model."""
    if entry.split:
        classes = split_classes(entry.split, dataset)
        if classes.source and args.unknown not in (None, classes.source):
            raise UsageError(
                f"--unknown {args.unknown}: --split {entry.split} takes its unknown classes from "
                f"{classes.source}"
            )
        return classes
    labels = description.labels
    if args.known:
        labels = dataset.restrict(class_options.read_class_list(args.known, dataset.labels)).labels
    texts = set(map(str, labels))
    return OpenSet(labels, tuple(label for label in dataset.labels if str(label) not in texts))


@cache
def _open_other(name: str, root: Path | None) -> ImageDataset:
    try:
        return _of_images(get_dataset(name, root))
    except UsageError as error:
        message = str(error).replace("--data_root", "--unknown_root")
        raise UsageError(f"--unknown_root: {message}") from error


def _evaluate_model(
    args: argparse.Namespace, entry: Entry, known_part: ImageDataset, unknown_part: ImageDataset
) -> "list[Result]":
    """Load and evaluate one model; its memory is freed on return."""
    from evaluation.open_set.models import evaluate_model
    from evaluation.open_set.scores import scorer
    from models.files.saved import load_model

    model, description = load_model(entry.path)
    try:
        scores = scorer(model, description, args.scores, args.neighbors or _NEIGHBORS)
    except UsageError as error:
        raise UsageError(f"--scores: {entry.path}: {error}") from error
    loader = data_options.loader_options(args)
    split = entry.split or (str(args.known) if args.known else "classes of the model")
    parts = known_part, unknown_part
    return evaluate_model(entry, split, model, scores, *parts, args.fpr, loader)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return console.run(build_parser(), evaluate, argv)


if __name__ == "__main__":
    console.end_process(main)
