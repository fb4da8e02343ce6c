"""Tables of a sweep: a row per point of the grid, and the best rate of each loss."""

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass

from sweeping.grid import PAPER, VALIDATION, Point, Trial, number
from sweeping.store import FINISHED, Result

POINT = ("dataset", "loss", "learning_rate", "seed", "subset_seed", "split")
BEST_TEST, LAST_VAL, TEST = "paper_best_test_accuracy", "val_last_accuracy", "val_test_accuracy"
TRIAL_HEADER = (
    *POINT,
    "options",
    "paper_status",
    "paper_epochs",
    "paper_seconds",
    BEST_TEST,
    "paper_best_epoch",
    "paper_last_test_accuracy",
    "val_fraction",
    "val_status",
    "val_epochs",
    "val_seconds",
    LAST_VAL,
    "val_best_accuracy",
    "val_best_epoch",
    TEST,
)

Row = dict[str, object]


def trial_row(point: Point, results: Mapping[str, Result]) -> Row:
    """Make the row of a point of the grid.

    Columns ``paper_…`` are for the run on all training images, with epochs evaluated on the test
    images, and ``val_…`` for the run with held-out images. If the data set has its own validation
    images, every run is of the second kind.

    Args:
        point: the point of the grid.
        results: results by protocol, as far as requested.

    Returns:
        Values by the names of ``TRIAL_HEADER``, accuracies in [0, 1]; None if there is none.
    """
    row = dict.fromkeys(TRIAL_HEADER)
    row |= zip(POINT, astuple(point), strict=True)
    first = next(iter(results.values()))
    row["options"] = first.options
    row["subset_seed"] = first.record.get("options", {}).get("subset_seed", point.subset_seed)
    if PAPER in results and _validation_samples(results[PAPER].record):
        results = {VALIDATION: results[PAPER]}
    if PAPER in results:
        row |= {f"paper_{name}": value for name, value in _progress(results[PAPER]).items()}
        found = _accuracies(results[PAPER])
        row[BEST_TEST], row["paper_best_epoch"] = found["best"], found["best_epoch"]
        row["paper_last_test_accuracy"] = found["last"]
    if VALIDATION in results:
        row |= {f"val_{name}": value for name, value in _progress(results[VALIDATION]).items()}
        found = _accuracies(results[VALIDATION])
        row["val_fraction"] = results[VALIDATION].record.get("options", {}).get("val_fraction")
        row[LAST_VAL], row[TEST] = found["last"], found["final"]
        row["val_best_accuracy"], row["val_best_epoch"] = found["best"], found["best_epoch"]
    return row


def evaluation_rows(trial: Trial, result: Result) -> list[Row]:
    """Make the rows of an evaluation after a training: the point, and metrics in [0, 1]."""
    point = dict(zip(POINT, astuple(trial.point), strict=True)) | {"protocol": trial.protocol}
    return [
        point | {k: v for k, v in row.items() if k != "model" and not isinstance(v, Mapping)}
        for row in result.evaluation
    ]


def _validation_samples(record: Mapping) -> int:
    """Return the number of images, other than test images, that a run was validated on."""
    return int(record.get("dataset", {}).get("validation_samples", 0))


def _progress(result: Result) -> Row:
    last = result.record.get("last_epoch") or {}
    seconds = round(result.seconds, 1) if result.seconds else None
    return {"status": result.status, "epochs": last.get("epoch"), "seconds": seconds}


def _accuracies(result: Result) -> Row:
    """Return best and last accuracy of the epochs, and test accuracy of the final evaluation."""
    name = result.record.get("epochs_judged_by")
    if result.status != FINISHED or name is None:
        return dict.fromkeys(("best", "best_epoch", "last", "final"))
    best, last = result.record["best_epoch"], result.record["last_epoch"]
    return {
        "best": best[name],
        "best_epoch": int(best["epoch"]),
        "last": last.get(name),
        "final": result.record["final"][name.removeprefix("val_")],
    }


@dataclass(frozen=True)
class Selection:
    """Best rate for a loss on a data set, by one protocol.

    Attributes:
        learning_rate: rate with the highest mean of ``by``; None: no rate was run with all seeds.
        chosen: mean over seeds of the accuracy to select by.
        mean: mean over seeds of the accuracy to report.
        std: its standard deviation (n - 1); None for a single seed.
        complete: number of rates run with all seeds, and of all rates, like ``"7/8"``.
    """

    learning_rate: float | None
    chosen: float | None
    mean: float | None
    std: float | None
    complete: str


def select(rows: Sequence[Row], by: str, report: str) -> Selection:
    """Select the best learning rate.

    Rates without results for all seeds are ignored, since means over different seeds are not
    comparable. Ties go to the higher rate.

    Args:
        rows: rows of one loss on one data set.
        by: column whose mean over seeds to maximize.
        report: column to report for the selected rate.
    """
    rates = sorted({row["learning_rate"] for row in rows}, reverse=True)
    of_rate = {rate: [row for row in rows if row["learning_rate"] == rate] for rate in rates}
    means = {
        rate: statistics.fmean(row[by] for row in of_rate[rate])
        for rate in rates
        if all(row[by] is not None for row in of_rate[rate])
    }
    complete = f"{len(means)}/{len(rates)}"
    if not means:
        return Selection(None, None, None, None, complete)
    best = max(means, key=means.get)
    values = [row[report] for row in of_rate[best]]
    std = statistics.stdev(values) if len(values) > 1 else None
    return Selection(best, means[best], statistics.fmean(values), std, complete)


SUMMARY_HEADER = (
    "dataset",
    "loss",
    "seeds",
    "paper_learning_rate",
    "paper_best_test_mean",
    "paper_best_test_std",
    "paper_rates",
    "val_learning_rate",
    "val_last_mean",
    "val_test_mean",
    "val_test_std",
    "val_rates",
)


def summary(rows: Iterable[Row]) -> list[Row]:
    """Return the best rates of each data set and loss by both protocols; None if not run."""
    groups: dict[tuple, list[Row]] = {}
    for row in rows:
        groups.setdefault((row["dataset"], row["loss"]), []).append(row)
    found = []
    for (dataset, loss), group in groups.items():
        line = dict.fromkeys(SUMMARY_HEADER)
        seeds = len({(row["seed"], row["split"]) for row in group})
        line |= {"dataset": dataset, "loss": loss, "seeds": seeds}
        if any(row["paper_status"] for row in group):
            s = select(group, BEST_TEST, BEST_TEST)
            values = (s.learning_rate, s.mean, s.std, s.complete)
            line |= zip(SUMMARY_HEADER[3:7], values, strict=True)
        if any(row["val_status"] for row in group):
            s = select(group, LAST_VAL, TEST)
            values = (s.learning_rate, s.chosen, s.mean, s.std, s.complete)
            line |= zip(SUMMARY_HEADER[7:], values, strict=True)
        found.append(line)
    return found


def _percent(mean: float, std: float | None = None) -> str:
    return f"{100 * mean:.1f}" + ("" if std is None else f" ± {100 * std:.1f}")


# Title, columns of the summary that make a cell, and its format.
_SHOWN = (
    ("data set", ("dataset",), str),
    ("loss", ("loss",), str),
    ("seeds", ("seeds",), str),
    ("best rate", ("paper_learning_rate",), number),
    ("best test %", ("paper_best_test_mean", "paper_best_test_std"), _percent),
    ("rates run", ("paper_rates",), str),
    ("validated rate", ("val_learning_rate",), number),
    ("validation %", ("val_last_mean",), _percent),
    ("test %", ("val_test_mean", "val_test_std"), _percent),
    ("rates run", ("val_rates",), str),
)


def shown(lines: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Format the summary as header and cells, in percent, as mean ± standard deviation.

    Empty columns are left out.
    """
    columns = [
        (title, [_cell([line[name] for name in names], form) for line in lines])
        for title, names, form in _SHOWN
    ]
    kept = [column for column in columns if any(column[1])]
    cells = zip(*(cells for _, cells in kept), strict=True)
    return [title for title, _ in kept], [list(row) for row in cells]


def _cell(values: Sequence, form: Callable[..., str]) -> str:
    return "" if values[0] is None else form(*values)
