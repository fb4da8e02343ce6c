"""Plot the features of saved models: samples colored by class, and distances between classes.

All classes of the data set are drawn; those that a model was not trained on are marked.
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cli import arguments, class_options, console, data_options, model_options
from cli.arguments import add_files, add_labels, positive, positive_float, refuse, user_path
from datasets.base import Dataset, Split
from datasets.open_sets import split_classes
from evaluation.embeddings import METRICS, PROJECTIONS
from storage.outputs import check_suffix, claim_all
from storage.records import record_path, write_record_of
from utils import UsageError, generator

if TYPE_CHECKING:
    from evaluation.classification.confusion import Arrangement
    from evaluation.embeddings.embedded import Embedded
    from models.files.description import ModelDescription

logger = logging.getLogger(__name__)
results = logging.getLogger("results")

_PICTURES, _NUMBERS = (".svg", ".png"), (".csv", ".npz")
_OUTPUTS = ("plot", "csv", "distances", "plot_distances")
_SUFFIXES = {"plot": _PICTURES, "distances": _NUMBERS, "plot_distances": _PICTURES}
_RECORDED = ("csv", "distances")
_PERPLEXITY = 30.0


def build_parser() -> argparse.ArgumentParser:
    """Build the argument parser."""
    parser = arguments.build_parser(__doc__)
    data_options.add_dataset_options(parser)
    data_options.add_loader_options(parser)
    _add_sample_options(parser.add_argument_group("samples"))
    _add_model_options(parser.add_argument_group("models"))
    _add_scatter_options(parser.add_argument_group("samples as points"))
    _add_distance_options(parser.add_argument_group("distances of class means"))
    class_options.add_hierarchy_options(parser, required=False)
    arguments.add_overwrite(parser.add_argument_group("output"))
    return parser


def _add_sample_options(group) -> None:
    data_options.add_known_options(group, several=True)
    class_options.add_class_list(group, "draw only these classes, in this order")
    group.add_argument(
        "--known_only",
        action="store_true",
        help="leave out classes that the first model was not trained on",
    )
    group.add_argument(
        "--part", choices=("test", "train"), default="test", help="split whose images are drawn"
    )
    group.add_argument(
        "--images",
        type=positive,
        metavar="N",
        help="draw only N random images of each class (default: all)",
    )
    group.add_argument(
        "--seed", type=arguments.seed, default=0, help="random seed for --images and t-SNE"
    )


def _add_model_options(group) -> None:
    add_files(group, "--model", "saved with --model_dump, .keras or .h5", required=True)
    add_labels(group, "name of each model in plots and tables (default: its file name)")
    group.add_argument(
        "--layer",
        metavar="LAYER",
        help="name or index of the layer that outputs the features (default: the embedding; for "
        "plain classifiers, the input of the last layer)",
    )
    group.add_argument("--batch_size", type=positive, default=100, help="images per batch")


def _add_scatter_options(group) -> None:
    group.add_argument("--plot", type=user_path, help="scatter plot of all samples, .svg or .png")
    group.add_argument("--csv", type=user_path, help="write the coordinates of the points, .csv")
    group.add_argument(
        "--projection",
        choices=PROJECTIONS,
        help="how to reduce features to two dimensions: principal components (default) or t-SNE",
    )
    group.add_argument(
        "--perplexity",
        type=positive_float,
        metavar="P",
        help=f"t-SNE: effective number of neighbors (default: {_PERPLEXITY:g})",
    )


def _add_distance_options(group) -> None:
    group.add_argument("--distances", type=user_path, help="write the distances, .csv or .npz")
    group.add_argument("--plot_distances", type=user_path, help="draw a heat map, .svg or .png")
    group.add_argument(
        "--metric",
        choices=METRICS,
        help="distance (default: the one each model classifies by; for plain classifiers, "
        "euclidean)",
    )


def plot(args: argparse.Namespace) -> None:
    """Compute features and draw the requested plots."""
    from embeddings import read_taxonomy
    from evaluation.classification.confusion import arrange
    from models.files.description import read_description
    from training.parallel import backend

    _check_options(args)
    names = model_options.model_names(args.model, args.label)
    splits = model_options.per_model("--split", args.split or [None], len(names))
    backend.configure(args.seed, mixed_precision=None)
    descriptions = [read_description(path) for path in args.model]
    taxonomy = None
    if args.hierarchy:
        taxonomy = read_taxonomy(args.hierarchy, args.is_a, args.str_ids)
    whole = data_options.whole_dataset(args)
    for path, split, description in zip(args.model, splits, descriptions, strict=True):
        _check_known(args, path, split, description, whole)
    dataset = _with_samples(_shown(args, whole, descriptions[0].labels), args.part)
    arrangement = arrange(taxonomy, dataset.labels) if taxonomy else None
    part = _chosen(getattr(dataset, args.part), args.images, args.seed)
    models = [
        _embed(args, *entry, dataset, part)
        for entry in zip(names, args.model, descriptions, strict=True)
    ]
    shown = len(part), args.part, dataset.noun, dataset.num_classes
    results.info("%d %s %s of %d classes", *shown)
    if args.plot or args.csv:
        _write_points(args, models, dataset)
    if args.distances or args.plot_distances:
        _write_distances(args, models, dataset, arrangement)


def _check_options(args: argparse.Namespace) -> None:
    """Refuse contradictory or ineffective options, and existing files."""
    if not any(getattr(args, name) for name in _OUTPUTS):
        wanted = ", ".join(f"--{name}" for name in _OUTPUTS)
        raise UsageError(f"nothing to draw: give one of {wanted}")
    if not (args.plot or args.csv):
        refuse(args, ("projection",), "is for points: give --plot or --csv")
    args.projection = args.projection or "pca"
    if args.projection != "tsne":
        refuse(args, ("perplexity",), "is for --projection tsne")
    if not (args.distances or args.plot_distances):
        refuse(args, ("metric",), "is for distances: give --distances or --plot_distances")
    if not args.plot_distances:
        refuse(args, ("hierarchy",), "orders the classes in --plot_distances FILE")
    if not args.hierarchy:
        refuse(args, ("is_a", "str_ids"), "says how to read a hierarchy: give --hierarchy FILE")
    files = [(name, getattr(args, name)) for name in _OUTPUTS]
    for name, path in files:
        if path and name in _SUFFIXES:
            check_suffix(f"--{name}", path, _SUFFIXES[name])
    files += [(name, path and record_path(path)) for name, path in files if name in _RECORDED]
    claim_all([(f"--{name}", path) for name, path in files], args.overwrite)


def _check_known(
    args: argparse.Namespace,
    path: Path,
    split: str | None,
    description: "ModelDescription",
    dataset: Dataset,
) -> None:
    """Check that a model fits the data set.

    Raises:
        UsageError: the model takes another kind of input, or knows other classes than
            ``--split`` or ``--known`` says.
    """
    from evaluation.classification import matching

    matching.matched(dataset, {path: description})
    if split:
        wanted = split_classes(split, dataset).known
    elif args.known:
        wanted = class_options.read_class_list(args.known, dataset.labels)
    else:
        return
    matching.check_same_classes(path, description, wanted, split or args.known)


def _shown(args: argparse.Namespace, dataset: Dataset, known: Sequence[int | str]) -> Dataset:
    """Return the data set, restricted to the classes to draw."""
    wanted = list(map(str, dataset.labels))
    if args.class_list:
        wanted = class_options.read_class_list(args.class_list, dataset.labels)
    if args.known_only:
        learned = set(map(str, known))
        wanted = [label for label in wanted if label in learned]
    return dataset.restrict(wanted)


def _with_samples(dataset: Dataset, part: str) -> Dataset:
    """Return the data set without classes that have no samples in the given part.

    Raises:
        UsageError: fewer than two classes are left.
    """
    there = sorted(set(getattr(dataset, part).labels.tolist()))
    if len(there) < 2:
        raise UsageError(
            f"at least two classes are needed, but {dataset.name} has {part} {dataset.noun} of "
            f"{len(there)}"
        )
    if len(there) < dataset.num_classes:
        dataset = dataset.restrict([dataset.labels[i] for i in there])
    return dataset


def _chosen(split: Split, images: int | None, seed: int) -> Split:
    """Return ``images`` random samples of each class, in their original order; None: all."""
    if images is None:
        return split
    import numpy as np

    mixed = generator("drawn", seed).permutation(len(split))
    kept = [mixed[split.labels[mixed] == label][:images] for label in np.unique(split.labels)]
    return split.select(np.sort(np.concatenate(kept)))


def _embed(
    args: argparse.Namespace,
    name: str,
    path: Path,
    description: "ModelDescription",
    dataset: Dataset,
    part: Split,
) -> "Embedded":
    """Load a model and compute its features; the model's memory is freed on return."""
    from evaluation.classification import matching
    from evaluation.embeddings.embedded import embed
    from models.files.saved import load_model

    model, _ = load_model(path)
    sizes = args.target_size, args.crop_size
    transform = matching.with_input_of(dataset, description, *sizes).test_transform
    samples = part, transform, dataset.labels
    loader = data_options.loader_options(args)
    return embed(name, model, description, *samples, args.layer, loader)


def _write_points(args: argparse.Namespace, models: "Sequence[Embedded]", dataset: Dataset) -> None:
    from evaluation.embeddings.plane import by_class, in_plane, write_points
    from evaluation.embeddings.scatter import STYLES, plot_scatter

    if dataset.num_classes > STYLES:
        logger.warning(
            "%d classes share only %d markers and colors; choose fewer with --class_list",
            dataset.num_classes,
            STYLES,
        )
    perplexity = args.perplexity or _PERPLEXITY
    planes = [in_plane(one, args.projection, perplexity, args.seed) for one in models]
    titles, known = [one.name for one in models], [one.known for one in models]
    labels, names = models[0].labels, dataset.class_names
    if args.csv:
        rows = [
            {"model": one.name, **row}
            for one, plane in zip(models, planes, strict=True)
            for row in by_class(plane, labels, one.known, names)
        ]
        write_points(args.csv, rows)
        write_record_of(args.csv, vars(args), results=rows)
    if args.plot:
        plot_scatter(args.plot, planes, titles, labels, known, names)


def _write_distances(
    args: argparse.Namespace,
    models: "Sequence[Embedded]",
    dataset: Dataset,
    arrangement: "Arrangement | None",
) -> None:
    from evaluation.embeddings import distances

    metrics = [args.metric or one.metric for one in models]
    matrices = [
        distances.class_distances(one, metric) for one, metric in zip(models, metrics, strict=True)
    ]
    if args.distances:
        about = dataset.labels, dataset.class_names
        distances.write_distances(args.distances, models, matrices, *about)
        named = dict(zip([one.name for one in models], metrics, strict=True))
        write_record_of(args.distances, vars(args), metrics=named)
    if args.plot_distances:
        named = metrics, dataset.class_names, arrangement
        distances.plot_distances(args.plot_distances, models, matrices, *named)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return console.run(build_parser(), plot, argv)


if __name__ == "__main__":
    console.end_process(main)
