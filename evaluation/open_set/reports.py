"""Results of open-set recognition: tables, a CSV file, ROC and CCR curves."""

from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev

from evaluation.open_set.models import Result
from evaluation.plots import Panel, sampled, write_rate_plot
from evaluation.tables import aligned, write_csv

# Metric → title of its column on the screen; the others are in the CSV file only.
_TITLES = {
    "accuracy": "accuracy",
    "auroc": "AUROC",
    "oscr": "OSCR",
    "tnr_at_tpr95": "TNR@TPR95",
    "detection_accuracy": "DTACC",
    "auin": "AUIN",
    "auout": "AUOUT",
}
_CCR = "ccr_at_fpr_"


def table(results: Sequence[Result]) -> list[str]:
    """Return aligned lines, one per model and score, in percent."""
    names = _shown(results)
    rows = [
        [one.model, one.score, *(f"{100 * one.metrics[name]:.2f}" for name in names)]
        for one in results
    ]
    return aligned(["model", "score", *map(_title, names)], rows, left=2)


def averages(results: Sequence[Result]) -> list[dict[str, object]]:
    """Return mean and standard deviation of groups of several models, one row per score.

    Values are in [0, 1]; the standard deviation is that of a sample (n - 1).
    """
    rows = []
    for group, score in dict.fromkeys((one.group, one.score) for one in results):
        members = [one.metrics for one in results if (one.group, one.score) == (group, score)]
        if len(members) > 1:
            values = {name: [metrics[name] for metrics in members] for name in members[0]}
            rows.append(
                {"models": group, "score": score, "count": len(members)}
                | {name: (mean(found), stdev(found)) for name, found in values.items()}
            )
    return rows


def averages_table(results: Sequence[Result]) -> list[str]:
    """Return aligned lines of ``averages``, in percent; none if no group has several models."""
    names, rows = _shown(results), averages(results)
    if not rows:
        return []
    cells = [
        [f"{row['models']} ({row['count']})", row["score"]]
        + ["{:.2f} ± {:.2f}".format(*(100 * value for value in row[name])) for name in names]
        for row in rows
    ]
    return aligned(["mean ± sd of", "score", *map(_title, names)], cells, left=2)


def _shown(results: Sequence[Result]) -> list[str]:
    names = results[0].metrics
    return [name for name in names if name in _TITLES or name.startswith(_CCR)]


def _title(name: str) -> str:
    return _TITLES.get(name) or f"CCR@FPR={name.removeprefix(_CCR)}"


def summary(results: Sequence[Result]) -> list[dict[str, object]]:
    """Return all metrics by model and score, with some points of the ROC curve, for records."""
    return [
        {"model": one.model, "score": one.score, **one.metrics}
        | {"roc": sampled((one.curve.fpr, one.curve.tpr))}
        for one in results
    ]


def write(path: Path, results: Sequence[Result]) -> None:
    """Write all metrics, one row per model and score.

    Raises:
        UserError: the file cannot be written.
    """
    header = ["models", "model", "file", "split", "score", "known_images", "unknown_images"]
    rows = (
        [one.group, one.model, one.file, one.split, one.score, *one.images, *one.metrics.values()]
        for one in results
    )
    write_csv(path, [*header, *results[0].metrics], rows)


def plot(path: Path, results: Sequence[Result]) -> None:
    """Draw ROC, and CCR over FPR on a logarithmic scale, one curve per model and score.

    Raises:
        UserError: the file cannot be written.
    """
    curves = {f"{one.model}: {one.score}": one.curve for one in results}
    across = "FPR: accepted images of unknown classes"
    roc = {name: (curve.fpr, curve.tpr) for name, curve in curves.items()}
    ccr = {name: (curve.fpr, curve.ccr) for name, curve in curves.items()}
    panels = [
        Panel("ROC", across, "TPR: accepted images of known classes", roc),
        Panel("Open-set classification", across, "CCR: … and correctly classified", ccr, log=True),
    ]
    write_rate_plot(path, panels)
