"""Evaluate image retrieval with saved features: hierarchical precision, AHP and mAP."""

import argparse
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cli import arguments, class_options, console, data_options, model_options
from cli.arguments import (
    add_files,
    add_labels,
    at_least_two,
    non_negative_int,
    positive,
    refuse,
)
from embeddings.taxonomy.tree import Taxonomy
from storage.records import claim_reports, write_record_of
from utils import UsageError, UserError

if TYPE_CHECKING:
    import numpy as np

    from evaluation.retrieval.inputs import Gallery

results = logging.getLogger("results")

_KS = (1, 10, 50, 100)
_MAX_K = 250
_SIMILARITIES = {
    "LCS_HEIGHT": ("LCS height", Taxonomy.similarities),
    "WUP": ("Wu-Palmer", Taxonomy.wup),
}


def build_parser() -> argparse.ArgumentParser:
    """Build the argument parser."""
    parser = arguments.build_parser(__doc__)
    data_options.add_dataset_options(parser, required=False)
    class_options.add_classes_from(parser, "restrict --dataset to their classes, in their order")
    class_options.add_hierarchy_options(parser)
    class_options.add_class_list(parser, "use the images of these classes only")
    _add_feature_options(parser.add_argument_group("features"))
    _add_output_options(parser.add_argument_group("output"))
    return parser


def _add_feature_options(group) -> None:
    add_files(
        group,
        "--feat",
        "feature dump of each model, .npz or pickle, all for the same images; dumps without labels "
        "need --dataset",
        metavar="DUMP",
        required=True,
    )
    add_labels(group, "name of each model in tables and plots (default: its file name)")
    text = "rank by cosine similarity instead of the Euclidean distance of unscaled features"
    model_options.add_yes_no(group, "--norm", text)


def _add_output_options(group) -> None:
    add = group.add_argument
    add(
        "--k",
        type=positive,
        nargs="+",
        metavar="K",
        help="ranks at which the table shows HP@K (default: 1 10 50 100)",
    )
    add("--clip_ahp", type=at_least_two, metavar="K", help="also compute AHP@K, K at least 2")
    add(
        "--plot_max",
        "--max_k",
        type=non_negative_int,
        metavar="K",
        help=f"largest k in the CSV file and the plot (default: {_MAX_K}); 0: no plot",
    )
    add(
        "--prec_type",
        choices=tuple(_SIMILARITIES),
        help="class similarity: by the height of the lowest common ancestor, or Wu and Palmer's "
        "(default: both)",
    )
    arguments.add_report_options(group, "draw HP@k over k, .png or .svg", progress=False)


def evaluate(args: argparse.Namespace) -> None:
    """Rank the images of each feature file; print, save and plot the metrics."""
    from evaluation.retrieval.metrics import evaluate as evaluate_features
    from evaluation.retrieval.plot import write_plot
    from evaluation.retrieval.report import HEADER, rows, tables
    from evaluation.tables import write_csv

    claim_reports(args.csv, args.plot, args.overwrite)
    names = model_options.model_names(args.feat, args.label)
    norms = model_options.yes_or_no("--norm", args.norm, len(names))
    gallery = _open_gallery(args)
    ks, max_k = _ranks(args, gallery.images)
    similarities = _similarities(args, gallery.classes)
    models = zip(names, gallery.vectors, gallery.positions, norms, strict=True)
    retrievals = {
        name: evaluate_features(vectors, positions, similarities, normalize=norm)
        for name, vectors, positions, norm in models
    }
    results.info("%d images of %d classes", gallery.images, len(gallery.classes))
    for line in ("", *tables(retrievals, ks, args.clip_ahp)):
        results.info("%s", line)
    if args.csv:
        write_csv(args.csv, HEADER, rows(retrievals, max_k, args.clip_ahp))
        dataset = {"images": gallery.images, "classes": len(gallery.classes)}
        found = [dict(zip(HEADER, row, strict=True)) for row in rows(retrievals, 0, args.clip_ahp)]
        write_record_of(args.csv, vars(args), dataset=dataset, results=found)
    if args.plot and max_k:
        write_plot(args.plot, retrievals, max_k)


def _open_gallery(args: argparse.Namespace) -> "Gallery":
    from evaluation.retrieval.inputs import read_gallery, restrict

    gallery = read_gallery(args.feat, _labels(args))
    if args.class_list:
        gallery = restrict(gallery, class_options.read_class_list(args.class_list, gallery.classes))
    if gallery.images < 2:
        raise UserError(f"retrieval needs at least two images, not {gallery.images}")
    return gallery


def _labels(args: argparse.Namespace) -> "np.ndarray | None":
    """Return the labels of the test images of --dataset, or None if it is not given."""
    from embeddings import load_class_embeddings
    from evaluation.feature_dumps import test_labels

    if not args.dataset:
        options = ("data_root", "classes_from", "test_fraction")
        refuse(args, options, "needs --dataset NAME")
        return None
    dataset = data_options.open_dataset(args)
    if args.classes_from:
        embeddings = load_class_embeddings(args.classes_from)
        dataset = dataset.restrict(embeddings.shared_labels(dataset.labels, dataset.name))
    return test_labels(dataset)


def _ranks(args: argparse.Namespace, images: int) -> tuple[list[int], int]:
    """Return the values of k for the table, and the largest k for CSV file and plot."""
    most = images - 1
    asked = [("--k", k) for k in args.k or ()]
    asked += [("--clip_ahp", args.clip_ahp), ("--plot_max", args.plot_max)]
    for option, k in asked:
        if k is not None and k > most:
            raise UsageError(f"{option} {k}: each of the {images} images can retrieve only {most}")
    ks = list(dict.fromkeys(args.k)) if args.k else [k for k in _KS if k <= most]
    return ks, min(_MAX_K, most) if args.plot_max is None else args.plot_max


def _similarities(args: argparse.Namespace, classes: Sequence[str]) -> "dict[str, np.ndarray]":
    from embeddings import read_taxonomy

    taxonomy = read_taxonomy(args.hierarchy, args.is_a, args.str_ids)
    kinds = [_SIMILARITIES[args.prec_type]] if args.prec_type else _SIMILARITIES.values()
    return {name: similarity(taxonomy, classes) for name, similarity in kinds}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return console.run(build_parser(), evaluate, argv, backend=False)


if __name__ == "__main__":
    console.end_process(main)
