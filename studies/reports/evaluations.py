"""Tables of the evaluations after training: open sets, verification."""

import statistics
from collections.abc import Mapping, Sequence
from itertools import chain

from evaluation.open_set import SCORES
from studies.choice import chosen_rate
from studies.reports.tables import NOT_RUN, markdown, percent
from studies.results import Run, Runs
from studies.study import TITLES, Cell, Part
from sweeping.commands import FEATURES, OPEN_SET
from sweeping.grid import PAPER

OWN_SCORES = {
    "xent": "probability",
    "cosine": "similarity",
    "cosine+xent": "probability",
    "dsc": "distance",
    "dsc_open": "distance",
}
"""Score of open sets by which the networks of each loss classify."""

CLASS_TARGETS = {
    "xent": "none: class probabilities",
    "cosine": "one-hot, by cosine",
    "cosine+xent": "one-hot, by cosine; class probabilities",
    "dsc_open": "simplex, by distance",
}

_BASELINE, _DSC = "xent", "dsc_open"
_OPEN_SET = {"accuracy": "accuracy", "auroc": "AUROC", "oscr": "OSCR"}
_COMPARED = {"AUROC": ("auroc", None), "OSCR": ("oscr", None), "AUROC by knn": ("auroc", "knn")}
"""Metric and score by title; None: the score of the loss itself."""

_VERIFICATION = {"accuracy": "accuracy", "auc": "AUC"}

Metrics = Mapping[str, object]


def evaluated_runs(part: Part, cell: Cell, runs: Runs) -> list[Run]:
    """Return the evaluated trials of a data set and loss at the chosen rate, in a fixed order."""
    rate = chosen_rate(part, cell, PAPER, runs)
    repeated = [] if rate is None else part.repeated(cell, rate)
    return [runs[t.name] for t in repeated if t.name in runs and runs[t.name].evaluation]


def evaluation_tables(part: Part, runs: Runs) -> list[str]:
    """Return what the evaluations of a part say, as Markdown; none if nothing is known."""
    if part.evaluation.split()[:1] == [FEATURES]:  # which are drawn
        return []
    if (
        not any(evaluated_runs(part, cell, runs) for cell in part.cells())
        and not part.published_metrics
    ):
        return []
    if not is_open_set(part):
        about = "Pairs of images of people not seen in training, in ten folds:"
        return [about, "", *_metrics_table(part, runs, _VERIFICATION), ""]
    return [
        "Known and unknown classes, each objective with the score by which it classifies:",
        "",
        *_metrics_table(part, runs, _OPEN_SET),
        "",
        *_side_by_side(part, runs),
        *_about_dsc(part, runs),
        *_scores_table(part, runs),
    ]


def is_open_set(part: Part) -> bool:
    """Return whether networks are evaluated on open sets, and not by verification."""
    return part.evaluation.split()[0] == OPEN_SET


def own_metrics(part: Part, cell: Cell, runs: Runs) -> dict[str, Metrics]:
    """Return the metrics of each evaluated trial by its name, by the score that the loss has."""
    score = OWN_SCORES[cell[1]] if is_open_set(part) else None
    return {run.name: _row(run, score) for run in evaluated_runs(part, cell, runs)}


def _row(run: Run, score: str | None) -> Metrics:
    return next(row for row in run.evaluation if row.get("score") == score)


def _metrics_table(part: Part, runs: Runs, titles: Mapping[str, str]) -> list[str]:
    """Return a row per data set and loss: mean ± standard deviation over the runs."""
    rows = []
    for cell in part.cells():
        found = own_metrics(part, cell, runs).values()
        row = [cell[0], TITLES[cell[1]], OWN_SCORES[cell[1]]]
        for metric in titles:
            row.append(percent([one[metric] for one in found]) or NOT_RUN)
            if part.published_metrics:
                row.append(str(part.published_metrics.get(cell, {}).get(metric, "–")))
        rows.append([*row, str(len(found))])
    columns = [
        (title, "published") if part.published_metrics else (title,) for title in titles.values()
    ]
    header = ["data", "loss", "score", *chain(*columns), "runs"]
    if is_open_set(part):
        return markdown(header, rows, 3)
    return markdown(header[1:2] + header[3:], [row[1:2] + row[3:] for row in rows], 1)


def _side_by_side(part: Part, runs: Runs) -> list[str]:
    """Compare all losses with cross-entropy on the trials that all have, over all data sets."""
    rows = []
    for loss in part.losses:
        row = [TITLES[loss], CLASS_TARGETS.get(loss, "")]
        for metric, score in _COMPARED.values():
            ours, others = (_shared(part, one, runs, metric, score) for one in (loss, _BASELINE))
            if not ours:
                return []
            row.append(percent(ours, spread=False))
            row += _against(ours, others) if loss != _BASELINE else ["–", "–"]
        rows.append(row)
    header = [name for title in _COMPARED for name in (f"mean {title}", "difference", "better in")]
    return [
        "Which class target makes the better open-set classifier? The means are over the data sets "
        "and trials that all objectives share, with the difference from cross-entropy. Scoring by "
        "nearest neighbors (knn) works the same way for every network.",
        "",
        *markdown(["loss", "class target", *header], rows, 2),
        "",
    ]


def _about_dsc(part: Part, runs: Runs) -> list[str]:
    """Compare the Deep Simplex Classifier with each other objective, for and against."""
    lines = []
    for other in part.losses if _DSC in part.losses else ():
        differences = []
        for title, (metric, score) in _COMPARED.items():
            ours, others = (_shared(part, one, runs, metric, score) for one in (_DSC, other))
            if ours and other != _DSC:
                difference, better = _against(ours, others)
                differences.append(f"{title} {difference} points, better in {better}")
        if differences:
            lines.append(f"- DSC against {TITLES[other]}: {'; '.join(differences)} trials.")
    return [*lines, ""] if lines else []


def _shared(part: Part, loss: str, runs: Runs, metric: str, score: str | None) -> list[float]:
    """Return a metric of a loss on the trials that all losses of a part have, in a fixed order.

    Args:
        part: part of a study.
        loss: one of its losses.
        runs: its trials.
        metric: name of the metric.
        score: one of the scores; None: that of the loss itself.
    """
    values = []
    for dataset in part.datasets:
        found = [
            {run.name.partition("_seed")[2]: run for run in evaluated_runs(part, cell, runs)}
            for cell in ((dataset, loss), *((dataset, other) for other in part.losses))
        ]
        for trial, run in found[0].items():
            if all(trial in of_loss for of_loss in found):
                values.append(_row(run, score or OWN_SCORES[loss])[metric])
    return values


def _against(ours: Sequence[float], others: Sequence[float]) -> list[str]:
    """Return mean difference in points of percent, and how often the first is larger."""
    differences = [100 * (one - other) for one, other in zip(ours, others, strict=True)]
    won = sum(difference > 0 for difference in differences)
    return [f"{statistics.fmean(differences):+.1f}", f"{won} of {len(differences)}"]


def _scores_table(part: Part, runs: Runs) -> list[str]:
    """Return AUROC of each data set and loss by every score."""
    rows = {}
    for cell in part.cells():
        rows[cell] = {score: [] for score in SCORES}
        for run in evaluated_runs(part, cell, runs):
            for row in run.evaluation:
                rows[cell][row["score"]].append(row["auroc"])
    shown = [score for score in SCORES if any(found[score] for found in rows.values())]
    cells = [
        [dataset, TITLES[loss], *(percent(found[score]) or "–" for score in shown)]
        for (dataset, loss), found in rows.items()
    ]
    table = markdown(["data", "loss", *shown], cells, 2)
    return ["AUROC of the same networks by every score:", "", *table, ""] if shown else []
