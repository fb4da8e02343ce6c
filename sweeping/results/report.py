"""Report of a sweep: a line per finished trial, tables and plots."""

import logging
from collections.abc import Mapping, Sequence

from evaluation.tables import aligned, write_csv
from sweeping.grid import PROTOCOLS, Point, Trial
from sweeping.results.table import (
    BEST_TEST,
    LAST_VAL,
    SUMMARY_HEADER,
    TEST,
    TRIAL_HEADER,
    Row,
    evaluation_rows,
    shown,
    summary,
    trial_row,
)
from sweeping.store import DIVERGED, Result, Store

results = logging.getLogger("results")


class Report:
    """Tables of a sweep, kept up to date.

    Args:
        store: folder of the sweep.
        trials: trials of this grid.
        evaluated: whether networks are evaluated after the training.
    """

    def __init__(self, store: Store, trials: Sequence[Trial], evaluated: bool = False):
        self.store = store
        self.trials = trials
        self.evaluated = evaluated
        self.results = {trial: store.result(trial) for trial in [*trials, *store.trials()]}

    def finished(self, trial: Trial) -> bool:
        """Return whether a trial has all its results or has diverged."""
        result = self.results[trial]
        complete = result.evaluation or result.status == DIVERGED or not self.evaluated
        return result.final and bool(complete)

    def update(self, trial: Trial) -> Result:
        """Read the result of a trial that has ended, and update ``trials.csv``.

        Raises:
            UserError: the file cannot be written.
        """
        self.results[trial] = self.store.result(trial)
        self.write_trials()
        return self.results[trial]

    def write_trials(self) -> None:
        """Write ``trials.csv`` with all trials in the folder, including those of earlier grids.

        Raises:
            UserError: it cannot be written.
        """
        rows = self._rows(self.results)
        cells = [[row[name] for name in TRIAL_HEADER] for row in rows]
        write_csv(self.store.path / "trials.csv", TRIAL_HEADER, cells)
        if self.evaluated:
            self._write_evaluations()

    def _write_evaluations(self) -> None:
        """Write ``evaluations.csv``: a row per trial and score."""
        rows = [
            row
            for trial in sorted(self.results, key=_order)
            for row in evaluation_rows(trial, self.results[trial])
        ]
        header = dict.fromkeys(name for row in rows for name in row)
        cells = [[row.get(name) for name in header] for row in rows]
        write_csv(self.store.path / "evaluations.csv", tuple(header), cells)

    def write_summary(self) -> None:
        """Print the summary of this grid, write it as ``summary.csv`` and plot it.

        Raises:
            UserError: a file cannot be written.
        """
        from sweeping.results.plot import write_plot

        rows = self._rows({trial: self.results[trial] for trial in self.trials})
        lines = summary(rows)
        cells = [[line[name] for name in SUMMARY_HEADER] for line in lines]
        write_csv(self.store.path / "summary.csv", SUMMARY_HEADER, cells)
        for dataset in dict.fromkeys(row["dataset"] for row in rows):
            drawn = [row for row in rows if row["dataset"] == dataset]
            if any(row[name] is not None for row in drawn for name in (BEST_TEST, LAST_VAL)):
                write_plot(self.store.path / f"{dataset}.png", drawn)
        header, body = shown(lines)
        for line in aligned(header, body, left=2):
            results.info("%s", line)

    def _rows(self, of: Mapping[Trial, Result]) -> list[Row]:
        points: dict[Point, dict[str, Result]] = {}
        for trial in sorted(of, key=_order):
            points.setdefault(trial.point, {})[trial.protocol] = of[trial]
        return [trial_row(point, found) for point, found in points.items()]


def _order(trial: Trial) -> tuple:
    """Sort key: data sets and losses by name, rates from large to small, as published."""
    p = trial.point
    place = PROTOCOLS.index(trial.protocol)
    return p.dataset, p.loss, -p.learning_rate, p.seed, p.subset_seed, p.split, place


def describe(trial: Trial, result: Result) -> str:
    """Describe a finished trial in one line."""
    if result.status == DIVERGED:
        return f"{trial.title}: diverged, has no accuracy ({result.seconds:.0f} s)"
    row = trial_row(trial.point, {trial.protocol: result})
    if row["val_status"]:
        what = (LAST_VAL, "on held-out images"), (TEST, "on test images")
    else:
        what = ((BEST_TEST, f"on test images after the best epoch, {row['paper_best_epoch']}"),)
    accuracies = ", ".join(
        f"{100 * row[name]:.1f} % {where}" for name, where in what if row[name] is not None
    )
    return f"{trial.title}: {accuracies} ({result.seconds:.0f} s)"
