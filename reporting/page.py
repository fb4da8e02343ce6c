"""The page of a report: finished runs, and the trials of a search, as one HTML file."""

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jinja2
import markupsafe
import numpy as np

from evaluation.classification.accuracy import accuracy_per_class, wilson_interval
from evaluation.classification.confusion import confusion_matrix
from reporting.charts import LineChart, Series, line_chart, parallel_plot
from reporting.predictions import Predictions
from reporting.runs import Run
from storage.files import replacing
from storage.records import write_record_of

MOST_CLASSES = 60
"""Maximum number of classes for a confusion matrix; with more, only frequent pairs are shown."""

_PAIRS = 30  # number of confused pairs of classes to show
_SCALES = {
    "objective": "names",
    "learning_rate": "log",
    "weight_decay": "log",
    "size": "names",
    "augmentation": "names",
    "ema": "names",
    "accuracy": "linear",
}


@dataclass
class Search:
    """The trials of a search."""

    rows: Sequence[Mapping[str, object]]  # one per trial, see ``sweeping.search.trials.HEADER``
    curves: Sequence[Sequence[float]]  # accuracy of each trial on held-out images, by epoch
    best: int  # index of the winner


@dataclass
class Page:
    """Content of a report."""

    title: str
    runs: Sequence[Run]
    commands: list[tuple[str, str]]  # purpose and command line
    facts: list[str] = field(default_factory=list)  # about the images
    search: Search | None = None
    predictions: dict[Path, Predictions] = field(default_factory=dict)  # by history of the run


def write_page(path: Path, page: Page, options: Mapping[str, object]) -> None:
    """Write the report, and a record with the options next to it.

    Raises:
        UserError: a file cannot be written.
    """
    with replacing(path) as temporary:
        temporary.write_text(render(page), encoding="utf-8", errors="backslashreplace")
    write_record_of(path, options)


def render(page: Page) -> str:
    """Return the page as HTML; all text in it is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda value: f"{100 * value:.1f} %"
    environment.filters["breakable"] = _breakable
    return environment.get_template("page.html").render(
        page=page,
        runs=[_run(run, page.predictions.get(run.history)) for run in page.runs],
        search=page.search and _search(page.search),
    )


def _breakable(name: str) -> markupsafe.Markup:
    """Return the escaped name, in which lines may break behind ``_`` and ``/``."""
    escaped = str(markupsafe.escape(name))
    return markupsafe.Markup(escaped.replace("_", "_<wbr>").replace("/", "/<wbr>"))


def _search(search: Search) -> dict[str, object]:
    rows = [dict(row) for row in search.rows]
    epochs = [
        Series(str(i + 1), range(1, len(curve) + 1), curve, i == search.best)
        for i, curve in enumerate(search.curves)
    ]
    return {
        "rows": rows,
        "best": search.best,
        "parallel": parallel_plot(rows, _SCALES, search.best),
        "curves": line_chart(epochs, percent=True),
    }


def _run(run: Run, found: Predictions | None) -> dict[str, object]:
    interval = None
    if run.tested and math.isfinite(run.accuracy):
        interval = wilson_interval(round(run.accuracy * run.tested), run.tested)
    return {
        "run": run,
        "interval": interval,
        "charts": _charts(run),
        "predictions": found and _predictions(found),
    }


def _charts(run: Run) -> list[tuple[str, LineChart]]:
    """Return losses and accuracies by epoch, with their titles."""
    judged = "validation" if run.held_out else "test"

    def chart(name: str, percent: bool) -> LineChart | None:
        labels = {"training": name, judged: f"val_{name}"}
        series = [
            Series(
                label,
                [epoch["epoch"] for epoch in run.epochs],
                [epoch.get(column, math.nan) for epoch in run.epochs],
            )
            for label, column in labels.items()
        ]
        return line_chart(series, percent)

    found = [("Loss", chart("loss", False)), ("Accuracy", chart(run.metric, True))]
    return [(title, drawn) for title, drawn in found if drawn]


def _predictions(found: Predictions) -> dict[str, object]:
    classes = len(found.class_names)
    confusion = confusion_matrix(found.predicted, found.labels, classes)
    shares = accuracy_per_class(found.predicted, found.labels, classes)
    per_class = [
        {
            "name": found.class_names[c],
            "images": int(confusion[c].sum()),
            "correct": int(confusion[c, c]),
            "accuracy": float(shares[c]),
            "interval": wilson_interval(int(confusion[c, c]), int(confusion[c].sum())),
        }
        for c in range(classes)
        if confusion[c].any()
    ]
    return {
        "found": found,
        "per_class": sorted(per_class, key=lambda row: row["accuracy"]),
        "confusion": confusion.tolist() if classes <= MOST_CLASSES else None,
        "pairs": _confused(confusion, found.class_names),
        "mistakes": [(mistake, thumbnail(mistake.pixels)) for mistake in found.worst],
    }


def _confused(confusion: np.ndarray, names: Sequence[str]) -> list[tuple[str, str, int]]:
    """Return the most frequently confused pairs of classes: true, predicted, number of images."""
    wrong = confusion.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:_PAIRS]
    pairs = [divmod(int(i), len(names)) for i in order]
    return [(names[t], names[p], int(wrong[t, p])) for t, p in pairs if wrong[t, p]]


def thumbnail(pixels: np.ndarray) -> str:
    """Return an image as a data URL with PNG content."""
    from PIL import Image

    shown = np.clip(pixels, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(shown[:, :, 0] if shown.shape[2] == 1 else shown).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")
