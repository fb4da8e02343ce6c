"""Evaluate features by the images they retrieve: hierarchical precision, AHP and mAP."""

import argparse
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cli import arguments, class_options, console
from cli.arguments import positive
from storage.files import check_distinct, check_writable
from storage.plots import check_plot_path
from storage.records import commit, record_path, versions, write_record
from utils import UsageError, UserError

if TYPE_CHECKING:
    import numpy as np

    from evaluation.retrieval.inputs import Gallery

results = logging.getLogger("results")

_PLOT_FORMATS = (".png", ".svg")
_KS = (1, 10, 50, 100)
_MAX_K = 250


def build_parser() -> argparse.ArgumentParser:
    parser = arguments.build_parser(__doc__)
    class_options.add_hierarchy_options(parser)
    class_options.add_class_list(parser, "use the images of these classes only")
    _add_feature_options(parser.add_argument_group("features"))
    _add_output_options(parser.add_argument_group("output"))
    return parser


def _add_feature_options(group) -> None:
    group.add_argument(
        "--feat",
        type=Path,
        nargs="+",
        action="extend",
        required=True,
        metavar="DUMP",
        help="feature dump of each model, .npz or pickle, all of the same images",
    )
    group.add_argument(
        "--label",
        nargs="+",
        action="extend",
        metavar="NAME",
        help="name of each model in tables and plots (default: that of the file)",
    )
    group.add_argument(
        "--norm",
        nargs="+",
        action="extend",
        choices=("yes", "no"),
        help="for all models or for each: rank by cosine similarity (yes, the default) or by "
        "Euclidean distance of the features as they are (no)",
    )


def _add_output_options(group) -> None:
    group.add_argument(
        "--k",
        type=positive,
        nargs="+",
        metavar="K",
        help="retrieved images for which the table has HP@K (default: 1 10 50 100)",
    )
    group.add_argument(
        "--clip_ahp", type=positive, metavar="K", help="also compute AHP@K, K from 2"
    )
    group.add_argument(
        "--max_k",
        type=positive,
        metavar="K",
        help=f"largest k in the CSV file and the plot (default: {_MAX_K})",
    )
    group.add_argument("--csv", type=Path, metavar="FILE", help="write all metrics, .csv")
    group.add_argument(
        "--plot",
        type=Path,
        metavar="FILE",
        help=f"draw HP@k over k, {' or '.join(_PLOT_FORMATS)}",
    )
    group.add_argument("--overwrite", action="store_true", help="replace files that exist")


def evaluate(args: argparse.Namespace) -> None:
    from cli.model_options import model_names, per_model
    from evaluation.retrieval.metrics import evaluate as evaluate_features
    from evaluation.retrieval.plot import write_plot
    from evaluation.retrieval.report import HEADER, rows, tables
    from evaluation.tables import write_csv

    _check_outputs(args)
    names = model_names(args.feat, args.label)
    norms = per_model("--norm", args.norm or ["yes"], len(names))
    gallery = _open_gallery(args)
    ks, max_k = _ranks(args, gallery.images)
    similarities = _similarities(args, gallery.classes)
    models = zip(names, gallery.vectors, gallery.positions, norms, strict=True)
    retrievals = {
        name: evaluate_features(vectors, positions, similarities, normalize=norm == "yes")
        for name, vectors, positions, norm in models
    }
    results.info("%d images of %d classes", gallery.images, len(gallery.classes))
    for line in ("", *tables(retrievals, ks, args.clip_ahp)):
        results.info("%s", line)
    if args.csv:
        write_csv(args.csv, HEADER, rows(retrievals, max_k, args.clip_ahp))
        _write_record(args, gallery, rows(retrievals, 0, args.clip_ahp))
    if args.plot:
        write_plot(args.plot, retrievals, max_k)


def _write_record(args: argparse.Namespace, gallery: "Gallery", found: Iterable[tuple]) -> None:
    from evaluation.retrieval.report import HEADER

    facts = {
        "options": vars(args),
        "commit": commit(),
        "versions": versions(),
        "dataset": {"images": gallery.images, "classes": len(gallery.classes)},
        "results": [dict(zip(HEADER, row, strict=True)) for row in found],
    }
    write_record(record_path(args.csv), facts)


def _check_outputs(args: argparse.Namespace) -> None:
    outputs = []
    if args.csv:
        outputs += [("--csv", args.csv), ("--csv", record_path(args.csv))]
    if args.plot:
        check_plot_path("--plot", args.plot, _PLOT_FORMATS)
        outputs.append(("--plot", args.plot))
    check_distinct(outputs)
    for option, path in outputs:
        check_writable(option, path, args.overwrite)


def _open_gallery(args: argparse.Namespace) -> "Gallery":
    from evaluation.retrieval.inputs import read_gallery, restrict

    gallery = read_gallery(args.feat)
    if args.class_list:
        gallery = restrict(gallery, class_options.read_class_list(args.class_list, gallery.classes))
    if gallery.images < 2:
        raise UserError("retrieval needs at least two images, there is one")
    return gallery


def _ranks(args: argparse.Namespace, images: int) -> tuple[list[int], int]:
    """Return the k of the table's columns, and the largest k of CSV and plot."""
    most = images - 1
    asked = [("--k", k) for k in args.k or ()]
    asked += [("--clip_ahp", args.clip_ahp), ("--max_k", args.max_k)]
    for option, k in asked:
        if k is not None and k > most:
            raise UsageError(f"{option} {k}: each of the {images} images can retrieve {most}")
    if args.clip_ahp == 1:
        raise UsageError("--clip_ahp 1: an area needs at least two points, so K is 2 or more")
    ks = list(dict.fromkeys(args.k)) if args.k else [k for k in _KS if k <= most]
    return ks, args.max_k or min(_MAX_K, most)


def _similarities(args: argparse.Namespace, classes: Sequence[str]) -> "dict[str, np.ndarray]":
    from embeddings import read_taxonomy

    taxonomy = read_taxonomy(args.hierarchy, args.is_a, args.str_ids)
    return {"LCS height": taxonomy.similarities(classes), "Wu-Palmer": taxonomy.wup(classes)}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return console.run(build_parser(), evaluate, argv, backend=False)


if __name__ == "__main__":
    console.end_process(main)
