"""Evaluate face verification (do two images show the same person?): accuracy, ROC, TAR at FAR.

The features come from saved models or from files written by --feature_dump. They are scaled to unit
length and compared by Euclidean distance.
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cli import arguments, console, data_options, model_options
from cli.arguments import (
    add_files,
    add_labels,
    at_least_two,
    fraction,
    non_negative_int,
    positive,
    refuse,
    user_path,
)
from storage.records import claim_reports, write_record_of
from utils import UsageError

if TYPE_CHECKING:
    import numpy as np

    from evaluation.verification.pairs import Pairs
    from evaluation.verification.report import Verification

results = logging.getLogger("results")

_FOLDS = 10
_FARS = (1e-3,)


def build_parser() -> argparse.ArgumentParser:
    """Build the argument parser."""
    parser = arguments.build_parser(__doc__)
    _add_pair_options(parser.add_argument_group("pairs"))
    _add_feature_options(parser.add_argument_group("features"))
    _add_output_options(parser.add_argument_group("output"))
    return parser


def _add_pair_options(group) -> None:
    add = group.add_argument
    add(
        "--pairs",
        type=user_path,
        help="pairs of images: a text file in the format of LFW's pairs.txt, or a published .bin, "
        "which contains the images (default: pairs.txt in --data_root)",
    )
    add(
        "--data_root",
        type=user_path,
        metavar="DIR",
        help="folder with one subfolder of images per person, for pairs.txt with --model",
    )
    add(
        "--folds",
        type=at_least_two,
        help="number of cross-validation folds, each of consecutive pairs (default: as pairs.txt "
        f"says, otherwise {_FOLDS})",
    )


def _add_feature_options(group) -> None:
    add = group.add_argument
    add_files(group, "--model", "saved with --model_dump, .keras or .h5")
    add_files(
        group,
        "--feat",
        "instead of models: feature dumps whose image names end in PERSON/FILE",
        metavar="DUMP",
    )
    add_labels(group, "name of each model in tables and plots (default: its file name)")
    add("--layer", metavar="NAME", help="layer that outputs the features (default: the embedding)")
    add(
        "--mirror",
        action="store_true",
        help="add the features of the mirrored image to those of the original",
    )
    add("--batch_size", type=positive, default=100, help="images per batch")
    add("--read_workers", type=non_negative_int, default=8, help="threads that read images")
    group.set_defaults(queue_size=10)


def _add_output_options(group) -> None:
    group.add_argument(
        "--far",
        type=fraction,
        nargs="+",
        default=list(_FARS),
        help="false acceptance rates (share of pairs of different people accepted) at which to "
        f"report the true acceptance rate, TAR (default: {' '.join(map(str, _FARS))})",
    )
    arguments.add_report_options(group, "draw the ROC curves over all pairs, .png or .svg")


def evaluate(args: argparse.Namespace) -> None:
    """Compare the pairs of images by each model or feature file; print and save the metrics."""
    from evaluation.verification import report

    path = _check_inputs(args)
    claim_reports(args.csv, args.plot, args.overwrite)
    names = model_options.model_names(args.model or args.feat, args.label)
    verified = (_verify_models if args.model else _verify_dumps)(args, path)
    found = dict(zip(names, verified, strict=True))
    first = next(iter(found.values()))
    results.info("%d pairs in %d folds, in percent", first.pairs, len(first.accuracies))
    for line in ("", *report.table(found)):
        results.info("%s", line)
    if args.csv:
        report.write(args.csv, found)
        write_record_of(args.csv, vars(args), results=report.summary(found))
    if args.plot:
        report.plot(args.plot, found)


def _check_inputs(args: argparse.Namespace) -> Path:
    """Return the file of pairs.

    Raises:
        UsageError: options are missing or contradict each other.
    """
    if bool(args.model) == bool(args.feat):
        raise UsageError("give either saved models (--model) or feature dumps (--feat)")
    path = args.pairs or (args.data_root and args.data_root / "pairs.txt")
    if path is None:
        raise UsageError("--pairs FILE is missing")
    is_bin = path.suffix == ".bin"
    if args.feat:
        # Without --pairs, its folder is that of pairs.txt.
        needless = ("layer", "mirror", *(["data_root"] if args.pairs else []))
        refuse(args, needless, "is for --model, not for --feat")
        if is_bin:
            raise UsageError(
                f"--feat finds pairs by image names, which {path} does not have: give a pairs.txt"
            )
    elif is_bin and args.data_root:
        raise UsageError(f"{path} contains its images: leave --data_root out")
    elif not is_bin and not args.data_root:
        raise UsageError(f"--data_root DIR is missing: the folder of the images named in {path}")
    return path


def _verify_dumps(args: argparse.Namespace, path: Path) -> "list[Verification]":
    from datasets.readers.faces import read_pairs
    from evaluation.feature_dumps import read_features
    from evaluation.verification.pairs import find_pairs

    named, found = read_pairs(path), []
    for dump in args.feat:
        features = read_features(dump)
        found.append(_verify(args, features.vectors, find_pairs(named, features.names, dump)))
    return found


def _verify_models(args: argparse.Namespace, path: Path) -> "list[Verification]":
    from evaluation.verification.features import of_images
    from evaluation.verification.pairs import open_pairs
    from models.files.description import read_description
    from models.files.saved import load_model
    from training.parallel import backend
    from training.parallel.startup import import_backend

    import_backend(None)
    backend.configure(0, mixed_precision=None)
    for file in args.model:
        read_description(file)
    images, pairs = open_pairs(path, args.data_root)
    loader = data_options.loader_options(args)
    found = []
    for file in args.model:
        model, description = load_model(file)
        features = of_images(file, images, model, description, args.layer, args.mirror, loader)
        found.append(_verify(args, features, pairs))
    return found


def _verify(args: argparse.Namespace, features: "np.ndarray", pairs: "Pairs") -> "Verification":
    from evaluation.verification.report import verify

    return verify(features, pairs, args.folds or pairs.folds or _FOLDS, args.far)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return console.run(build_parser(), evaluate, argv, backend=False)


if __name__ == "__main__":
    console.end_process(main)
