"""Evaluate the accuracy of saved models on a test split: plain, top-5, average, hierarchical.

Each model classifies as it was trained to: by class probabilities, or by the nearest class
embedding. --layer, --svm and --prob_features train a linear SVM on features of the training images
instead, and --centroids takes the class of the nearest vector in a file.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cli import arguments, class_options, console, data_options
from cli.arguments import non_negative_float, non_negative_int, positive, seed
from datasets.images.dataset import ImageDataset
from storage.outputs import claim
from storage.records import commit, record_path, write_record
from utils import UsageError, UserError

if TYPE_CHECKING:
    import numpy as np

    from embeddings import Taxonomy
    from evaluation.classification.models import Result
    from evaluation.classification.reports import Outputs

logger = logging.getLogger(__name__)
results = logging.getLogger("results")

_EXCLUSIVE = (
    ("centroids", "svm"),
    ("centroids", "prob_features"),
    ("prob_features", "layer"),
)
_ONE_EACH = "one for all models or one for each"


def build_parser() -> argparse.ArgumentParser:
    parser = arguments.build_parser(__doc__)
    data_options.add_data_options(parser, training=False)
    _add_model_options(parser.add_argument_group("models"))
    class_options.add_class_list(
        parser, "test on these classes only, and choose among them (default: all of the model)"
    )
    _add_method_options(parser.add_argument_group("how to classify"))
    class_options.add_hierarchy_options(parser, required=False)
    _add_output_options(parser.add_argument_group("output"))
    return parser


def _add_model_options(group) -> None:
    group.add_argument(
        "--model",
        type=Path,
        nargs="+",
        action="extend",
        required=True,
        metavar="FILE",
        help="saved with --model_dump, .keras or .h5",
    )
    group.add_argument(
        "--label",
        nargs="+",
        action="extend",
        metavar="NAME",
        help="name of each model in tables (default: that of its file)",
    )
    group.add_argument("--batch_size", type=positive, default=100, metavar="N", help="images")


def _add_method_options(group) -> None:
    group.add_argument(
        "--svm", action="store_true", help="train a linear SVM on the embedding (or on --layer)"
    )
    group.add_argument(
        "--layer",
        nargs="+",
        action="extend",
        metavar="NAME",
        help=f"name or index of the layer with the features, {_ONE_EACH}; means --svm unless "
        "there are --centroids",
    )
    group.add_argument(
        "--prob_features",
        action="store_true",
        help="train a linear SVM on the class probabilities",
    )
    group.add_argument(
        "--centroids",
        nargs="+",
        action="extend",
        metavar="FILE",
        help=f"one vector per class, {_ONE_EACH}: a file of class embeddings, or the name of one "
        "that comes with the project; the nearest by dot product where the model compares its own "
        "embedding so, otherwise by Euclidean distance",
    )
    group.add_argument(
        "--norm", action="store_true", help="scale features to unit length (SVM, centroids)"
    )
    group.add_argument(
        "--C",
        type=non_negative_float,
        metavar="C",
        help="SVM: weight of errors, above 0 (default: 1.0)",
    )
    group.add_argument(
        "--augmentation_epochs",
        type=non_negative_int,
        metavar="N",
        help="SVM: passes over the training images with random augmentation (default: 0, one pass "
        "without)",
    )
    group.add_argument(
        "--seed",
        type=seed,
        default=0,
        metavar="N",
        help="of the SVM and the augmentation",
    )


def _add_output_options(group) -> None:
    several = "with several models, FILE gets the name of each"
    for name, text in (
        ("--csv", "all metrics, .csv"),
        ("--per_class", "accuracy within each class, .csv"),
        ("--confusion", f"confusion matrix, .csv; {several}"),
        ("--plot_confusion", f"the same as a plot, .png, .svg or .pdf; {several}"),
    ):
        group.add_argument(name, type=Path, metavar="FILE", help=text)
    group.add_argument("--overwrite", action="store_true", help="replace files that exist")
    group.add_argument("--no_progress", action="store_true", help="no progress bar on terminals")


@dataclass(frozen=True)
class Entry:
    """One model of the comparison: its name, file, layer of features and file of centroids."""

    name: str
    path: Path
    layer: str | None
    centroids: str | None


def choose_method(args: argparse.Namespace) -> str:
    """Return the key of ``evaluation.classification.classifiers.METHODS`` that the options choose.

    Raises:
        UsageError: they contradict each other, or some would do nothing.
    """
    options = vars(args)
    for one, other in _EXCLUSIVE:
        if options[one] and options[other]:
            raise UsageError(f"--{one} and --{other} exclude each other")
    chosen = [option for option in ("centroids", "prob_features", "svm") if options[option]]
    method = chosen[0] if chosen else "svm" if args.layer else "own"
    if args.C == 0:
        raise UsageError("--C 0: the weight of errors has to be above 0")
    for option in ("C", "augmentation_epochs"):
        if options[option] is not None and method not in ("svm", "prob_features"):
            raise UsageError(
                f"--{option} is for a linear SVM: give --svm, --layer or --prob_features"
            )
    if args.norm and method == "own":
        raise UsageError("--norm is for features: give --svm, --layer or --centroids")
    for option in ("is_a", "str_ids"):
        if options[option] and not args.hierarchy:
            raise UsageError(f"--{option} says how to read a hierarchy: give --hierarchy FILE")
    return method


def evaluate(args: argparse.Namespace) -> None:
    from evaluation.classification import matching, reports
    from models.files.description import read_description
    from training.parallel import backend

    method, entries = choose_method(args), _entries(args)
    names = [entry.name for entry in entries]
    outputs = reports.Outputs(names, args.csv, args.per_class, args.confusion, args.plot_confusion)
    for option, path in outputs.files():
        claim(option, path, args.overwrite)
    backend.configure(args.seed, mixed_precision=None)
    models = {entry.path: read_description(entry.path) for entry in entries}
    taxonomy = _read_taxonomy(args)
    dataset = data_options.open_dataset(args)
    wanted = (
        class_options.read_class_list(args.class_list, dataset.labels) if args.class_list else None
    )
    dataset = matching.matched(dataset, models, wanted)
    similarities = _similarities(taxonomy, dataset)
    found, failures = [], []
    for entry in entries:
        try:
            found.append(_evaluate_model(args, method, entry, dataset, similarities))
        except UserError as error:  # of one model: the others are worth their time
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

    size = (len(dataset.test), dataset.num_classes)
    results.info("%d test images of %d classes, accuracies in percent", *size)
    for line in ("", *reports.table(models)):
        results.info("%s", line)
    arrangement = arrange(taxonomy, dataset.labels) if taxonomy else None
    reports.write_files(outputs, models, dataset, arrangement)
    if args.csv:
        found = {model.name: {"method": model.method, **model.metrics} for model in models}
        write_record(record_path(args.csv), _record(args, dataset) | {"results": found})


def _entries(args: argparse.Namespace) -> list[Entry]:
    """Return each model with its options.

    Raises:
        UsageError: numbers do not fit, or two models have the same name.
    """
    from cli.model_options import model_names, per_model

    columns = [
        model_names(args.model, args.label),
        args.model,
        per_model("--layer", args.layer or [None], len(args.model)),
        per_model("--centroids", args.centroids or [None], len(args.model)),
    ]
    return [Entry(*row) for row in zip(*columns, strict=True)]


def _evaluate_model(
    args: argparse.Namespace,
    method: str,
    entry: Entry,
    dataset: ImageDataset,
    similarities: "dict[str, np.ndarray]",
) -> "Result":
    """Load and evaluate one model, which is freed before the next one is loaded."""
    from embeddings import load_class_embeddings
    from evaluation.classification import matching, models
    from evaluation.classification.classifiers import Request
    from models.files.saved import load_model
    from training.parallel import backend

    model, description = load_model(entry.path)
    dataset = matching.with_sizes_of(dataset, description, args.target_size, args.crop_size)
    request = Request(
        model,
        description,
        dataset.labels,
        entry.layer,
        args.norm,
        load_class_embeddings(entry.centroids) if entry.centroids else None,
        1.0 if args.C is None else args.C,
        args.seed,
    )
    loader = models.LoaderOptions(
        args.batch_size,
        args.read_workers,
        args.queue_size,
        backend.jit_compile("auto"),
        int(sys.stdout.isatty() and not args.no_progress),
        args.augmentation_epochs or 0,
        args.seed,
    )
    return models.evaluate_model(
        entry.name, entry.path, method, request, dataset, similarities, loader
    )


def _read_taxonomy(args: argparse.Namespace) -> "Taxonomy | None":
    from embeddings import read_taxonomy

    return read_taxonomy(args.hierarchy, args.is_a, args.str_ids) if args.hierarchy else None


def _similarities(taxonomy: "Taxonomy | None", dataset: ImageDataset) -> "dict[str, np.ndarray]":
    if taxonomy is None:
        return {}
    return {"lcs": taxonomy.similarities(dataset.labels), "wup": taxonomy.wup(dataset.labels)}


def _record(args: argparse.Namespace, dataset: ImageDataset) -> dict[str, object]:
    """Return the provenance of the metrics, like the record that training writes."""
    from training.parallel import backend

    return {
        "options": vars(args),
        "commit": commit(),
        "versions": backend.versions(),
        "dataset": {"name": dataset.name, "test_samples": len(dataset.test)},
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return console.run(build_parser(), evaluate, argv)


if __name__ == "__main__":
    console.end_process(main)
