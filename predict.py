"""Classify image files and folders with a saved model."""

import argparse
import contextlib
import csv
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from cli import arguments, console, model_options
from cli.arguments import positive, user_path
from storage.files import growing, partial_path, write_errors
from storage.outputs import claim
from utils import UsageError, UserError, printable

if TYPE_CHECKING:
    from datasets.images.finding import Found
    from evaluation.prediction import Classifier

logger = logging.getLogger(__name__)


def build_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = arguments.build_parser(__doc__)
    parser.add_argument(
        "paths", nargs="+", type=user_path, metavar="PATH", help="image file or folder"
    )
    parser.add_argument(
        "--model",
        required=True,
        type=user_path,
        metavar="FILE",
        help="what --model_dump wrote, here or with the published code",
    )
    model_options.add_published_options(parser)
    parser.add_argument(
        "--output",
        metavar="NAME",
        help="output of the network that classifies (default: the classifier if there is one, "
        "otherwise the embedding)",
    )
    parser.add_argument(
        "--top_k",
        type=positive,
        default=1,
        metavar="K",
        help="classes to name, best first",
    )
    parser.add_argument(
        "--format",
        choices=tuple(FORMATS),
        default="table",
        help="table: to read; csv: a line per class; jsonl: a JSON object per image",
    )
    parser.add_argument("--out", type=user_path, metavar="FILE", help="instead of standard output")
    parser.add_argument("--overwrite", action="store_true", help="replace FILE if it exists")
    parser.add_argument(
        "--batch_size",
        type=positive,
        default=32,
        metavar="N",
        help="images computed at once",
    )
    parser.add_argument(
        "--read_workers",
        type=positive,
        default=8,
        metavar="N",
        help="threads that read images",
    )
    return parser


@dataclass(frozen=True)
class Prediction:
    """A class predicted for an image, with its score."""

    label: int | str
    class_name: str
    score: float


class Table:
    """Aligned columns: image, class and score; further classes follow below the first.

    Args:
        stream: output.
        score_kind: what the scores are.
        names: of the images, for the width of the column.
        class_names: of all classes, for the width of the column.
    """

    def __init__(
        self, stream: TextIO, score_kind: str, names: Sequence[str], class_names: Sequence[str]
    ):
        self._stream = stream
        columns = ([printable(text) for text in column] for column in (names, class_names))
        self._widths = [min(80, max(map(len, column))) for column in columns]
        self._line("image", "class", score_kind)

    def add(self, name: str, predictions: Sequence[Prediction]) -> None:
        """Write the predictions for one image."""
        for i, one in enumerate(predictions):
            self._line("" if i else name, one.class_name, f"{one.score:.4f}")

    def _line(self, name: str, class_name: str, score: str) -> None:
        first, second = self._widths
        line = f"{printable(name):<{first}}  {printable(class_name):<{second}}  {score}"
        print(line, file=self._stream)


class Csv:
    """Comma-separated values, one line per image and class; arguments as for ``Table``."""

    def __init__(self, stream: TextIO, score_kind: str, *_: Sequence[str]):
        self._writer = csv.writer(stream, lineterminator="\n")
        self._score_kind = score_kind
        self._writer.writerow(("image", "rank", "label", "class_name", "score", "score_kind"))

    def add(self, name: str, predictions: Sequence[Prediction]) -> None:
        """Write the predictions for one image."""
        for rank, one in enumerate(predictions, 1):
            row = (name, rank, one.label, one.class_name, one.score, self._score_kind)
            self._writer.writerow(row)


class JsonLines:
    """One JSON object per image; arguments as for ``Table``."""

    def __init__(self, stream: TextIO, score_kind: str, *_: Sequence[str]):
        self._stream = stream
        self._score_kind = score_kind
        encoding = getattr(stream, "encoding", None) or "utf-8"
        self._ascii = not encoding.lower().startswith("utf")

    def add(self, name: str, predictions: Sequence[Prediction]) -> None:
        """Write the predictions for one image."""
        found = [vars(one) for one in predictions]
        content = {"image": name, "score_kind": self._score_kind, "predictions": found}
        print(json.dumps(content, ensure_ascii=self._ascii), file=self._stream)


FORMATS: dict[str, Callable] = {"table": Table, "csv": Csv, "jsonl": JsonLines}


def predict(args: argparse.Namespace) -> None:
    from datasets.images.finding import find_images

    if not args.out:
        console.check_standard_output("--out FILE")
    else:
        claim("--out", args.out, args.overwrite)
        claim("--out", partial_path(args.out), args.overwrite)
    found = find_images(args.paths)
    classifier = _load(args)
    names = [_text(path) for path in found.files]
    with _output(args.out) as stream:
        kind, class_names = classifier.score_kind, classifier.description.class_names
        with write_errors(args.out or "standard output"):
            writer = FORMATS[args.format](stream, kind, names or [""], class_names)
        damaged = _classify(args, found, classifier, writer, stream)
    if found.skipped:
        logger.info("Skipped in folders, as no images: %d", len(found.skipped))
    if found.unreadable:
        raise UserError(
            f"{len(found.unreadable)} folders could not be listed, {damaged} images "
            f"of {len(found.files)} not be read; the others are done"
        )
    if damaged:
        raise UserError(f"{damaged} of {len(found.files)} images could not be read")


def _load(args: argparse.Namespace) -> "Classifier":
    """Load the model, after all checks that need only its description."""
    from evaluation.prediction import Classifier, output_position
    from models.files.published import open_model, read_or_describe
    from training.parallel import backend

    facts = model_options.facts_from_options(args)
    description = read_or_describe(args.model, facts)
    output_position(description, args.output)
    if args.top_k > len(description.labels):
        raise UsageError(
            f"--top_k {args.top_k}: {args.model} knows {len(description.labels)} classes"
        )
    model, description = open_model(args.model, facts)
    return Classifier(model, description, args.output, backend.jit_compile("auto"))


def _classify(
    args: argparse.Namespace,
    found: "Found",
    classifier: "Classifier",
    writer: Table | Csv | JsonLines,
    stream: TextIO,
) -> int:
    """Write all predictions and return the number of damaged files."""
    from datasets.images.unlabeled import image_batches, image_reader

    for error in found.unreadable:
        logger.warning("%s", error)
    about = classifier.description
    read = image_reader(about.target_size, about.crop_size, about.channels)
    damaged, done = 0, 0
    for batch in image_batches(found.files, read, args.batch_size, args.read_workers):
        for error in batch.damaged:
            logger.warning("%s", error)
        if batch.paths:
            predictions = list(_predictions(classifier, batch.images, args.top_k))
            with write_errors(args.out or "standard output"):
                for path, best in zip(batch.paths, predictions, strict=True):
                    writer.add(_text(path), best)
                stream.flush()
        damaged += len(batch.damaged)
        done += len(batch.paths) + len(batch.damaged)
        _show_progress(args, done, len(found.files))
    return damaged


def _predictions(classifier: "Classifier", images, top_k: int) -> Iterator[list[Prediction]]:
    labels, names = classifier.description.labels, classifier.description.class_names
    for classes, scores in zip(*classifier.top(images, top_k), strict=True):
        # float(str()) gives the shortest decimal number of the same float32.
        yield [
            Prediction(labels[c], names[c], float(str(score)))
            for c, score in zip(classes, scores, strict=True)
        ]


@contextlib.contextmanager
def _output(path: Path | None) -> Iterator[TextIO]:
    if path is None:
        yield sys.stdout
        return
    with growing(path) as file:
        yield file


def _show_progress(args: argparse.Namespace, done: int, total: int) -> None:
    """Show progress on a terminal, unless the predictions appear there."""
    if sys.stderr.isatty() and (args.out or not sys.stdout.isatty()):
        end = "\n" if done == total else ""
        print(f"\r{done}/{total} images", end=end, file=sys.stderr, flush=True)


def _text(path: Path) -> str:
    """Return the name as text; bytes that are not UTF-8 become ``\xff``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return console.run(build_parser(), predict, argv)


if __name__ == "__main__":
    console.end_process(main)
