"""Evaluate saved models on a test split: plain, top-5, class-averaged and hierarchical accuracy.

By default, each model classifies as it was trained to: by class probabilities or by the nearest
class embedding. Instead, --svm or --layer trains a linear SVM on features of the training images,
--prob_features predicts the class with the largest value, and --centroids the class whose vector in
a given file is nearest.
"""

import argparse
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cli import arguments, class_options, console, data_options, model_options
from cli.arguments import (
    add_files,
    add_labels,
    positive,
    positive_float,
    refuse,
    seed,
    user_path,
)
from datasets.cache.choice import with_normalization
from datasets.images.dataset import ImageDataset
from storage.outputs import claim_all
from storage.records import write_record_of
from utils import UsageError, UserError

if TYPE_CHECKING:
    import numpy as np

    from embeddings import ClassEmbeddings, Taxonomy
    from evaluation.classification.models import Result
    from evaluation.classification.reports import Outputs
    from models.files.description import ModelDescription
    from models.files.published import Facts

logger = logging.getLogger(__name__)
results = logging.getLogger("results")

_COST = 0.1
_ONE_EACH = "one for all models or one for each"


def build_parser() -> argparse.ArgumentParser:
    """Build the argument parser."""
    parser = arguments.build_parser(__doc__)
    data_options.add_data_options(parser, training=False)
    _add_model_options(parser.add_argument_group("models"))
    model_options.add_architecture_options(parser, several=True)
    class_options.add_class_list(
        parser, "test on these classes only, and predict only these (default: all of the model)"
    )
    class_options.add_classes_from(
        parser,
        "test only on classes that have an embedding; models saved by the published code must have "
        "been trained on these classes in this order",
    )
    _add_method_options(parser.add_argument_group("how to classify"))
    class_options.add_hierarchy_options(parser, required=False)
    _add_output_options(parser.add_argument_group("output"))
    return parser


def _add_model_options(group) -> None:
    text = "saved with --model_dump, .keras or .h5, or by the published code, .h5"
    add_files(group, "--model", text, required=True)
    add_labels(group, "name of each model in tables (default: its file name)")
    group.add_argument("--batch_size", type=positive, default=100, help="images per batch")


def _add_method_options(group) -> None:
    add = group.add_argument
    add("--svm", action="store_true", help="train a linear SVM on the embedding (or on --layer)")
    add(
        "--layer",
        nargs="+",
        action="extend",
        metavar="NAME",
        help=f"name or index of the layer that outputs the features, {_ONE_EACH}; implies --svm "
        "unless --prob_features or --centroids is given",
    )
    model_options.add_yes_no(
        group,
        "--prob_features",
        "the features (of --layer, or the model's class probabilities) are one value per class; "
        "predict the class with the largest",
    )
    add(
        "--centroids",
        nargs="+",
        action="extend",
        metavar="FILE",
        help="predict the class whose vector has the smallest Euclidean distance: a file of class "
        f"embeddings, or the name of an included one, {_ONE_EACH}",
    )
    model_options.add_yes_no(
        group,
        "--norm",
        "scale feature vectors to unit length (SVM, centroids); otherwise the SVM divides each "
        "feature by its largest absolute value in training",
    )
    _add_svm_options(add)


def _add_svm_options(add: Callable) -> None:
    add(
        "--C",
        type=positive_float,
        metavar="C",
        help=f"SVM: penalty for training errors, above 0 (default: {_COST})",
    )
    add(
        "--augmentation_epochs",
        type=positive,
        metavar="N",
        help="SVM: passes over the randomly augmented training images; 1, the default: one pass "
        "without augmentation",
    )
    add("--seed", type=seed, default=0, help="random seed of the SVM and the augmentation")


def _add_output_options(group) -> None:
    several = "with several models, one file each, with the model's name added to FILE"
    for name, text in (
        ("--csv", "all metrics, .csv"),
        ("--per_class", "accuracy of each class, .csv"),
        ("--confusion", f"confusion matrix, .csv; {several}"),
        ("--plot_confusion", f"the same as a plot, .png, .svg or .pdf; {several}"),
    ):
        group.add_argument(name, type=user_path, help=text)
    arguments.add_overwrite(group)


@dataclass(frozen=True)
class Entry:
    """One model to evaluate, with its options."""

    name: str
    path: Path
    architecture: str | None
    layer: str | None
    prob_features: bool
    centroids: str | None
    norm: bool
    svm: bool

    @property
    def method(self) -> str:
        """Key of ``evaluation.classification.classifiers.METHODS``."""
        if self.centroids:
            return "centroids"
        if self.prob_features:
            return "prob_features"
        return "svm" if self.svm or self.layer else "own"


def check_methods(args: argparse.Namespace, entries: Sequence[Entry]) -> None:
    """Raise UsageError for options that contradict each other, or would do nothing."""
    for entry in entries:
        options = ("centroids", "prob_features", "svm")
        chosen = [option for option in options if getattr(entry, option)]
        if len(chosen) > 1:
            raise UsageError(f"--{chosen[0]} and --{chosen[1]} exclude each other")
        if entry.norm and entry.method not in ("svm", "centroids"):
            raise UsageError("--norm is for features: give --svm, --layer or --centroids")
    learning = any(entry.method == "svm" for entry in entries)
    if not learning:
        because = "is for a linear SVM: give --svm or --layer"
        refuse(args, ("C", "augmentation_epochs"), because)
    elif args.all:
        raise UsageError("a linear SVM needs training images, but --all uses all for testing")
    if not args.hierarchy:
        refuse(args, ("is_a", "str_ids"), "says how to read a hierarchy: give --hierarchy FILE")
    if not args.architecture:
        because = "is for files of the published code: give --architecture"
        refuse(args, ("mean", "std"), because)
        if args.all or args.class_list:
            given = "--all" if args.all else "--class_list"
            refuse(args, ("classes_from",), f"has no effect with {given}")


def evaluate(args: argparse.Namespace) -> None:
    """Evaluate each model on the test samples; print and save the metrics."""
    from embeddings import load_class_embeddings, read_taxonomy
    from evaluation.classification import matching, reports
    from models.files.description import find_description, read_description
    from models.files.published import read_or_describe
    from training.parallel import backend

    entries = _entries(args)
    check_methods(args, entries)
    names = [entry.name for entry in entries]
    outputs = reports.Outputs(names, args.csv, args.per_class, args.confusion, args.plot_confusion)
    claim_all(outputs.files(), args.overwrite)
    backend.configure(args.seed, mixed_precision=None)
    for entry in entries:  # before the data set, which takes longer
        (find_description if entry.architecture else read_description)(entry.path)
    taxonomy = read_taxonomy(args.hierarchy, args.is_a, args.str_ids) if args.hierarchy else None
    dataset = data_options.open_dataset(args)
    embeddings = load_class_embeddings(args.classes_from) if args.classes_from else None
    facts = _facts(args, entries, dataset, embeddings)
    models = {entry.path: read_or_describe(entry.path, facts[entry]) for entry in entries}
    wanted = _wanted_classes(args, dataset, models.values(), embeddings)
    source = "--class_list" if args.class_list else "--classes_from"
    dataset = matching.matched(dataset, models, wanted, source)
    kinds = {"lcs": taxonomy.similarities, "wup": taxonomy.wup} if taxonomy else {}
    similarities = {name: compute(dataset.labels) for name, compute in kinds.items()}
    found, failures = [], []
    for entry in entries:
        try:
            found.append(_evaluate_model(args, entry, facts[entry], dataset, similarities))
        except UserError as error:  # one failing model does not spoil the others
            failures.append(error)
    if found:
        _report(args, outputs, found, dataset, taxonomy)
    for error in failures[1:]:
        logger.error("%s", error)
    if failures:
        raise failures[0]


def _report(
    args: argparse.Namespace,
    outputs: "Outputs",
    models: "list[Result]",
    dataset: ImageDataset,
    taxonomy: "Taxonomy | None",
) -> None:
    from evaluation.classification import reports
    from evaluation.classification.confusion import arrange

    results.info(
        "%d test %s of %d classes, accuracies in percent",
        len(dataset.test),
        dataset.noun,
        dataset.num_classes,
    )
    for line in ("", *reports.table(models)):
        results.info("%s", line)
    arrangement = arrange(taxonomy, dataset.labels) if taxonomy else None
    reports.write_files(outputs, models, dataset, arrangement)
    if args.csv:
        facts = {"name": dataset.name, "test_samples": len(dataset.test)}
        found = {model.name: {"method": model.method, **model.metrics} for model in models}
        write_record_of(args.csv, vars(args), dataset=facts, results=found)


def _entries(args: argparse.Namespace) -> list[Entry]:
    count = len(args.model)
    names = model_options.model_names(args.model, args.label)
    columns = [
        model_options.per_model("--architecture", args.architecture or [None], count),
        model_options.per_model("--layer", args.layer or [None], count),
        model_options.yes_or_no("--prob_features", args.prob_features, count),
        model_options.per_model("--centroids", args.centroids or [None], count),
        model_options.yes_or_no("--norm", args.norm, count),
    ]
    rows = zip(names, args.model, *columns, strict=True)
    return [Entry(*row, svm=args.svm) for row in rows]


def _facts(
    args: argparse.Namespace,
    entries: Sequence[Entry],
    dataset: ImageDataset,
    embeddings: "ClassEmbeddings | None",
) -> "dict[Entry, Facts | None]":
    """Return what files saved by the published code lack; None for models of this project."""
    from models.files.description import find_description

    facts = dict.fromkeys(entries)
    published = [e for e in entries if e.architecture and find_description(e.path) is None]
    if published and not args.mean and not args.all:
        dataset = with_normalization(dataset, "off")
    for entry in published:
        facts[entry] = model_options.facts_from_dataset(
            args, entry.architecture, dataset, embeddings
        )
    return facts


def _wanted_classes(
    args: argparse.Namespace,
    dataset: ImageDataset,
    models: Iterable["ModelDescription"],
    embeddings: "ClassEmbeddings | None",
) -> list[str] | None:
    """Return the labels of the classes to test on, or None for those of the models."""
    if args.class_list:
        known = [*dataset.labels, *(label for model in models for label in model.labels)]
        return class_options.read_class_list(args.class_list, known)
    if embeddings and not args.all:
        return list(map(str, embeddings.shared_labels(dataset.labels, dataset.name)))
    return None


def _evaluate_model(
    args: argparse.Namespace,
    entry: Entry,
    facts: "Facts | None",
    dataset: ImageDataset,
    similarities: "dict[str, np.ndarray]",
) -> "Result":
    """Load and evaluate one model; its memory is freed on return."""
    from embeddings import load_class_embeddings
    from evaluation.classification import matching, models
    from evaluation.classification.classifiers import MethodArgs
    from models.files.published import check_name, open_model

    model, description = open_model(entry.path, facts)
    if entry.architecture:
        check_name(entry.path, model, entry.architecture)
    dataset = matching.with_input_of(dataset, description, args.target_size, args.crop_size)
    method_args = MethodArgs(
        model,
        description,
        dataset.labels,
        entry.layer or None,
        entry.norm,
        load_class_embeddings(entry.centroids) if entry.centroids else None,
        _COST if args.C is None else args.C,
        args.seed,
    )
    augmentation = {"augmentation_epochs": args.augmentation_epochs or 1, "seed": args.seed}
    loader = data_options.loader_options(args, **augmentation)
    return models.evaluate_model(
        entry.name, entry.path, entry.method, method_args, dataset, similarities, loader
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return console.run(build_parser(), evaluate, argv)


if __name__ == "__main__":
    console.end_process(main)
