"""Reports of an evaluation: a table, CSV files and plots of confusion matrices."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets.base import Dataset
from evaluation.classification.accuracy import accuracy_per_class
from evaluation.classification.confusion import Arrangement, confusion_matrix
from evaluation.classification.confusion_plot import plot_confusion
from evaluation.classification.models import Result
from evaluation.tables import aligned, write_csv
from storage.outputs import check_suffix
from storage.records import record_path

_PLOT_FORMATS = (".png", ".svg", ".pdf")
_UNSAFE = re.compile(r"[^\w.+-]+")  # characters to replace in file names

# Metric → title of its column on the screen.
_TITLES = {
    "accuracy": "accuracy",
    "top5_accuracy": "top-5",
    "average_accuracy": "average",
    "hierarchical_accuracy_lcs": "hier. (LCS)",
    "hierarchical_accuracy_wup": "hier. (WUP)",
    "accuracy_cosine": "by cosine",
    "accuracy_distance_cosine": "by L2 / (2 + cosine)",
}


@dataclass(frozen=True)
class Outputs:
    """Output files; None: do not write."""

    names: Sequence[str]  # names of all models, including those whose evaluation will fail
    csv: Path | None = None  # all metrics, one row per model
    # Accuracy within each class, one row per class and one column per model
    per_class: Path | None = None
    confusion: Path | None = None  # confusion matrix; one file per model
    plot_confusion: Path | None = None  # the same as a plot

    def files(self) -> list[tuple[str, Path | None]]:
        """Return option and path of every file that may be written; paths may be None."""
        found = [("--csv", self.csv), ("--per_class", self.per_class)]
        if self.csv:
            found.append(("--csv", record_path(self.csv)))
        if self.confusion:
            found += [("--confusion", self.of_model(self.confusion, name)) for name in self.names]
        if path := self.plot_confusion:
            check_suffix("--plot_confusion", path, _PLOT_FORMATS, any_case=True)
            found += [("--plot_confusion", self.of_model(path, name)) for name in self.names]
        return found

    def of_model(self, path: Path, name: str) -> Path:
        """Return ``confusion.NAME.csv`` for ``confusion.csv`` if there are several models."""
        if len(self.names) == 1:
            return path
        return path.with_name(f"{path.stem}.{_UNSAFE.sub('_', name)}{path.suffix}")


def table(results: Sequence[Result]) -> list[str]:
    """Return aligned lines, one per model: accuracies in percent, blank where undefined."""
    names = _metric_names(results)
    header = ["model", "classified by", *(_TITLES[name] for name in names)]
    rows = [
        [one.name, one.method, *(_percent(one.metrics.get(name)) for name in names)]
        for one in results
    ]
    return aligned(header, rows, left=2)


def _metric_names(results: Sequence[Result]) -> list[str]:
    """Return the names of the metrics that any of the models has."""
    return list(dict.fromkeys(name for one in results for name in one.metrics))


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f}"


def write_files(
    outputs: Outputs,
    results: Sequence[Result],
    dataset: Dataset,
    arrangement: Arrangement | None = None,
) -> None:
    """Write all requested files; the arrangement orders the classes in plots."""
    if outputs.csv:
        _write_metrics(outputs.csv, results, dataset)
    if outputs.per_class:
        _write_per_class(outputs.per_class, results, dataset)
    for one in results:
        confusion = confusion_matrix(one.predicted, dataset.test.labels, dataset.num_classes)
        if outputs.confusion:
            _write_confusion(outputs.of_model(outputs.confusion, one.name), confusion, dataset)
        if outputs.plot_confusion:
            path = outputs.of_model(outputs.plot_confusion, one.name)
            title = f"{one.name}: {_percent(one.metrics['accuracy'])} % of {dataset.name}"
            plot_confusion(path, confusion, dataset.class_names, arrangement, title)


def _write_metrics(path: Path, results: Sequence[Result], dataset: Dataset) -> None:
    names = _metric_names(results)
    header = ["model", "file", "method", "dataset", dataset.noun, "classes", *names]
    size = (dataset.name, len(dataset.test), dataset.num_classes)
    rows = [
        [one.name, one.file, one.method, *size, *(one.metrics.get(name) for name in names)]
        for one in results
    ]
    write_csv(path, header, rows)


def _write_per_class(path: Path, results: Sequence[Result], dataset: Dataset) -> None:
    truth = dataset.test.labels
    images = np.bincount(truth, minlength=dataset.num_classes).tolist()
    columns = [accuracy_per_class(one.predicted, truth, dataset.num_classes) for one in results]
    blank = [[None if np.isnan(value) else value for value in c.tolist()] for c in columns]
    rows = zip(dataset.labels, dataset.class_names, images, *blank, strict=True)
    write_csv(path, ["label", "name", dataset.noun, *(one.name for one in results)], rows)


def _write_confusion(path: Path, confusion: np.ndarray, dataset: Dataset) -> None:
    """Write true classes as rows, predicted ones as columns with their labels as header."""
    rows = zip(dataset.labels, dataset.class_names, confusion.tolist(), strict=True)
    header = ["label", "name", *dataset.labels]
    write_csv(path, header, ([label, name, *counts] for label, name, counts in rows))
