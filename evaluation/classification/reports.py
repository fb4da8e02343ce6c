"""What the judgement of models looks like: a table, CSV files and pictures of confusion."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets.base import ImageDataset
from evaluation.classification.accuracy import accuracy_per_class
from evaluation.classification.confusion import Arrangement, confusion_matrix
from evaluation.classification.evaluator import Judged
from evaluation.pictures import check_picture_path, plot_confusion
from evaluation.tables import aligned, write_csv
from storage.records import record_path
from utils import UsageError

_UNSAFE = re.compile(r"[^\w.+-]+")  # in names of files

# Name of a figure → its column on the screen.
_TITLES = {
    "accuracy": "accuracy",
    "top5_accuracy": "top-5",
    "average_accuracy": "average",
    "hierarchical_accuracy_lcs": "hier. (LCS)",
    "hierarchical_accuracy_wup": "hier. (WUP)",
}


@dataclass(frozen=True)
class Outputs:
    """The files to write, each or None.

    Attributes:
        names: of all models, those that cannot be judged among them.
        csv: all figures, one row per model.
        per_class: accuracy within each class, one row per class and one column per model.
        confusion: confusion matrix; of several models, each has its own file.
        plot_confusion: the same as a picture.
    """

    names: Sequence[str]
    csv: Path | None = None
    per_class: Path | None = None
    confusion: Path | None = None
    plot_confusion: Path | None = None

    def files(self) -> list[tuple[str, Path]]:
        """Option and path of every file that may be written.

        Raises:
            UsageError: two would be the same file, or a picture has an unknown format.
        """
        if self.plot_confusion:
            check_picture_path("--plot_confusion", self.plot_confusion)
        record = record_path(self.csv) if self.csv else None
        found = [("--csv", self.csv), ("--csv", record), ("--per_class", self.per_class)]
        for option, path in (
            ("--confusion", self.confusion),
            ("--plot_confusion", self.plot_confusion),
        ):
            found += [(option, self.of_model(path, name)) for name in self.names if path]
        found = [(option, path) for option, path in found if path]
        seen: dict[str, str] = {}
        for option, path in found:
            real = os.path.realpath(path)
            if real in seen:
                raise UsageError(f"{seen[real]} and {option} would both be written to {path}")
            seen[real] = option
        return found

    def of_model(self, path: Path, name: str) -> Path:
        """``confusion.csv`` → ``confusion.NAME.csv`` if there are several models."""
        if len(self.names) == 1:
            return path
        return path.with_name(f"{path.stem}.{_UNSAFE.sub('_', name)}{path.suffix}")


def table(judged: Sequence[Judged]) -> list[str]:
    """Aligned lines, one per model: accuracies in percent, blank where there is none."""
    figures = list(judged[0].figures)
    header = ["model", "classified by", *(_TITLES[name] for name in figures)]
    rows = [
        [one.name, one.method, *(_percent(value) for value in one.figures.values())]
        for one in judged
    ]
    return aligned(header, rows, left=2)


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f}"


def write_files(
    outputs: Outputs,
    judged: Sequence[Judged],
    dataset: ImageDataset,
    arrangement: Arrangement | None = None,
) -> None:
    """Writes every wanted file.

    Args:
        outputs: which.
        judged: the models that could be judged.
        dataset: what they were judged on.
        arrangement: order of the classes in pictures.

    Raises:
        UserError: a file cannot be written.
    """
    if outputs.csv:
        _write_figures(outputs.csv, judged, dataset)
    if outputs.per_class:
        _write_per_class(outputs.per_class, judged, dataset)
    for one in judged:
        confusion = confusion_matrix(one.predicted, dataset.test.labels, dataset.num_classes)
        if outputs.confusion:
            _write_confusion(outputs.of_model(outputs.confusion, one.name), confusion, dataset)
        if outputs.plot_confusion:
            path = outputs.of_model(outputs.plot_confusion, one.name)
            title = f"{one.name}: {_percent(one.figures['accuracy'])} % of {dataset.name}"
            plot_confusion(path, confusion, dataset.class_names, arrangement, title)


def _write_figures(path: Path, judged: Sequence[Judged], dataset: ImageDataset) -> None:
    header = ["model", "file", "method", "dataset", "images", "classes", *judged[0].figures]
    size = (dataset.name, len(dataset.test), dataset.num_classes)
    rows = [[one.name, one.file, one.method, *size, *one.figures.values()] for one in judged]
    write_csv(path, header, rows)


def _write_per_class(path: Path, judged: Sequence[Judged], dataset: ImageDataset) -> None:
    truth = dataset.test.labels
    images = np.bincount(truth, minlength=dataset.num_classes).tolist()
    columns = [accuracy_per_class(one.predicted, truth, dataset.num_classes) for one in judged]
    blank = [[None if np.isnan(value) else value for value in c.tolist()] for c in columns]
    rows = zip(dataset.labels, dataset.class_names, images, *blank, strict=True)
    write_csv(path, ["label", "name", "images", *(one.name for one in judged)], rows)


def _write_confusion(path: Path, confusion: np.ndarray, dataset: ImageDataset) -> None:
    """Rows are true classes; columns, headed by their labels, are predicted ones."""
    rows = zip(dataset.labels, dataset.class_names, confusion.tolist(), strict=True)
    header = ["label", "name", *dataset.labels]
    write_csv(path, header, ([label, name, *counts] for label, name, counts in rows))
