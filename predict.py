"""Classify images or documents in files and folders with a saved model."""

import argparse
import contextlib
import csv
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TextIO

from cli import arguments, console, model_options
from cli.arguments import positive, user_path
from datasets.text.documents import check_columns
from storage.files import growing, partial_path, write_errors
from storage.outputs import claim_all
from utils import UsageError, UserError, printable

if TYPE_CHECKING:
    from datasets.images.finding import Found
    from datasets.images.unlabeled import Batch
    from evaluation.prediction import Classifier
    from models.files.description import ModelDescription
    from models.files.published import Facts

logger = logging.getLogger(__name__)


def build_parser() -> argparse.ArgumentParser:
    """Build the argument parser."""
    parser = arguments.build_parser(__doc__)
    add = parser.add_argument
    add(
        "paths",
        nargs="+",
        type=user_path,
        metavar="PATH",
        help="image, text file or folder of these",
    )
    add(
        "--columns",
        type=lambda text: text.split(","),
        action="extend",
        default=[],
        metavar="C,…",
        help="read CSV files with one document per row, from these columns: numbers from 1, or "
        "names from the header; several columns are joined",
    )
    model_options.add_file_options(parser)
    add(
        "--output",
        metavar="NAME",
        help="network output to classify by (default: the classifier if there is one, otherwise "
        "the embedding)",
    )
    add("--top_k", type=positive, default=1, metavar="K", help="show the K best classes")
    add(
        "--format",
        choices=tuple(FORMATS),
        default="table",
        help="table: aligned columns; csv: one row per predicted class; jsonl: one JSON object per "
        "image or document",
    )
    add("--out", type=user_path, help="write here instead of to standard output")
    add("--overwrite", action="store_true", help="replace FILE if it exists")
    add("--batch_size", type=positive, default=32, help="images or documents per batch")
    add("--read_workers", type=positive, default=8, help="threads that read images")
    return parser


class Prediction(NamedTuple):
    """A class predicted for an image, with its score."""

    label: int | str
    class_name: str
    score: float


Add = Callable[[str, Sequence[Prediction]], None]
"""Function that writes the predictions for one image, given the image's name."""


def table(
    stream: TextIO, sample: str, score_kind: str, names: Sequence[str], class_names: Sequence[str]
) -> Add:
    """Write aligned columns: image, class and score; the top K classes are listed below each other.

    Args:
        stream: output.
        sample: header of the first column, ``"image"`` or ``"document"``.
        score_kind: header of the score column.
        names: names of all samples, which set the width of the first column.
        class_names: names of all classes, which set the width of the second column.
    """
    longest = (max(len(printable(text)) for text in column) for column in (names, class_names))
    first, second = (min(80, length) for length in longest)

    def line(name: str, class_name: str, score: str) -> None:
        text = f"{printable(name):<{first}}  {printable(class_name):<{second}}  {score}"
        print(text, file=stream)

    def add(name: str, predictions: Sequence[Prediction]) -> None:
        for i, one in enumerate(predictions):
            line("" if i else name, one.class_name, f"{one.score:.4f}")

    line(sample, "class", score_kind)
    return add


def comma_separated(stream: TextIO, sample: str, score_kind: str, *_: Sequence[str]) -> Add:
    """Write one line per sample and class; arguments as for ``table``."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow((sample, "rank", "label", "class_name", "score", "score_kind"))

    def add(name: str, predictions: Sequence[Prediction]) -> None:
        writer.writerows((name, rank, *one, score_kind) for rank, one in enumerate(predictions, 1))

    return add


def json_lines(stream: TextIO, sample: str, score_kind: str, *_: Sequence[str]) -> Add:
    """Write one JSON object per sample; arguments as for ``table``."""
    encoding = getattr(stream, "encoding", None) or "utf-8"

    def add(name: str, predictions: Sequence[Prediction]) -> None:
        found = [one._asdict() for one in predictions]
        content = {sample: name, "score_kind": score_kind, "predictions": found}
        print(json.dumps(content, ensure_ascii=not encoding.lower().startswith("utf")), file=stream)

    return add


FORMATS = {"table": table, "csv": comma_separated, "jsonl": json_lines}


def predict(args: argparse.Namespace) -> None:
    """Classify images or documents; print or save classes and scores."""
    check_columns(args.columns)
    if args.out:
        claim_all((("--out", args.out), ("--out", partial_path(args.out))), args.overwrite)
    facts = model_options.facts_from_options(args)
    found = _find(args, _description(args, facts))
    classifier = _load(args, facts)
    sample = _sample(classifier.description)
    names = [_text(path) for path in found.files]
    output = growing(args.out) if args.out else contextlib.nullcontext(sys.stdout)
    with output as stream:
        scores, class_names = classifier.score_kind, classifier.description.class_names
        with write_errors(args.out or "standard output"):
            add = FORMATS[args.format](stream, sample, scores, names or [""], class_names)
        damaged = _classify(args, found, classifier, add, stream)
    if found.skipped:
        logger.info("Skipped in folders, not %ss: %d", sample, len(found.skipped))
    if found.unreadable:
        raise UserError(
            f"{len(found.unreadable)} folders could not be listed and {damaged} of "
            f"{len(found.files)} {sample}s could not be read; all others were classified"
        )
    if damaged:
        raise UserError(f"{damaged} of {len(found.files)} {sample}s could not be read")


def _sample(description: "ModelDescription") -> str:
    return "image" if description.words is None else "document"


def _find(args: argparse.Namespace, description: "ModelDescription") -> "Found":
    """Find what to classify: documents if the model is for these, otherwise images."""
    if description.words is None:
        from datasets.images.finding import find_images

        if args.columns:
            raise UsageError(f"--columns is for documents; {args.model} classifies images")
        return find_images(args.paths)
    from datasets.text.documents import find_documents

    return find_documents(args.paths, args.columns)


def _description(args: argparse.Namespace, facts: "Facts | None") -> "ModelDescription":
    """Return the model's description after checking the options against it."""
    from evaluation.prediction import output_position
    from models.files.published import read_or_describe

    description = read_or_describe(args.model, facts)
    output_position(description, args.output)
    if args.top_k > len(description.labels):
        raise UsageError(
            f"--top_k {args.top_k}: {args.model} knows only {len(description.labels)} classes"
        )
    return description


def _load(args: argparse.Namespace, facts: "Facts | None") -> "Classifier":
    from evaluation.prediction import Classifier
    from models.files.published import open_model
    from training.parallel import backend

    model, description = open_model(args.model, facts)
    return Classifier(model, description, args.output, backend.jit_compile("auto"))


def _classify(
    args: argparse.Namespace, found: "Found", classifier: "Classifier", add: Add, stream: TextIO
) -> int:
    """Write all predictions and return the number of damaged files."""
    for error in found.unreadable:
        logger.warning("%s", error)
    damaged, done = 0, 0
    for batch in _batches(args, found, classifier.description):
        for error in batch.damaged:
            logger.warning("%s", error)
        if batch.paths:
            predictions = list(_predictions(classifier, batch.samples, args.top_k))
            with write_errors(args.out or "standard output"):
                for path, best in zip(batch.paths, predictions, strict=True):
                    add(_text(path), best)
                stream.flush()
        damaged += len(batch.damaged)
        done += len(batch.paths) + len(batch.damaged)
        _show_progress(args, done, len(found.files))
    return damaged


def _batches(
    args: argparse.Namespace, found: "Found", description: "ModelDescription"
) -> "Iterator[Batch]":
    if description.words is None:
        from datasets.images.unlabeled import image_batches, image_reader

        size = description.target_size, description.crop_size, description.channels
        return image_batches(found.files, image_reader(*size), args.batch_size, args.read_workers)
    from datasets.text.documents import document_batches
    from datasets.text.vocabulary import Vocabulary

    vocabulary = Vocabulary(description.words, description.length)
    return document_batches(found, vocabulary, args.batch_size)


def _predictions(classifier: "Classifier", images, top_k: int) -> Iterator[list[Prediction]]:
    labels, names = classifier.description.labels, classifier.description.class_names
    for classes, scores in zip(*classifier.top(images, top_k), strict=True):
        # float(str()) gives the shortest decimal number that rounds to the same float32.
        yield [
            Prediction(labels[c], names[c], float(str(score)))
            for c, score in zip(classes, scores, strict=True)
        ]


def _show_progress(args: argparse.Namespace, done: int, total: int) -> None:
    """Show progress on a terminal, unless the predictions appear there."""
    if sys.stderr.isatty() and (args.out or not sys.stdout.isatty()):
        end = "\n" if done == total else ""
        print(f"\r{done}/{total} classified", end=end, file=sys.stderr, flush=True)


def _text(path: Path) -> str:
    """Return a path as text, with bytes that are not UTF-8 as escapes like ``\xff``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return console.run(build_parser(), predict, argv)


if __name__ == "__main__":
    console.end_process(main)
