"""Tables of the evaluations after the trainings: open sets, verification."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from studies.choice import chosen_rate
from studies.results import Run, Runs
from studies.study import TITLES, Cell, Part
from studies.tables import NOT_RUN, markdown, percent
from sweeping.commands import FEATURES, OPEN_SET
from sweeping.grid import PAPER

OWN_SCORES = {
    "xent": "probability",
    "cosine": "similarity",
    "cosine+xent": "similarity",
    "dsc": "distance",
    "dsc_open": "distance",
}
"""Score of open sets by which each loss decides on the class while training."""

CLASS_TARGETS = {
    "xent": "none: class probabilities",
    "cosine": "one-hot, by cosine",
    "cosine+xent": "one-hot, by cosine",
    "dsc_open": "simplex, by distance",
}

_BASELINE, _DSC = "xent", "dsc_open"
_OPEN_SET = {"accuracy": "accuracy", "auroc": "AUROC", "oscr": "OSCR"}
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
    if not any(evaluated_runs(part, cell, runs) for cell in part.cells()) and not part.published:
        return []
    if not is_open_set(part):
        about = "Pairs of images of people that training has not seen, in ten folds:"
        return [about, "", *_metrics_table(part, runs, _VERIFICATION), ""]
    return [
        "Images of known and unknown classes, each objective by the score that it decides by:",
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
    return {
        run.name: next(row for row in run.evaluation if row.get("score") == score)
        for run in evaluated_runs(part, cell, runs)
    }


def _metrics_table(part: Part, runs: Runs, titles: Mapping[str, str]) -> list[str]:
    """Return a row per data set and loss: mean ± standard deviation over the runs."""
    rows = []
    for cell in part.cells():
        found = own_metrics(part, cell, runs).values()
        row = [cell[0], TITLES[cell[1]], OWN_SCORES[cell[1]]]
        for metric in titles:
            row.append(percent([one[metric] for one in found]) or NOT_RUN)
            if part.published:
                row.append(str(part.published.get(cell, {}).get(metric, "–")))
        rows.append([*row, str(len(found))])
    columns = [(title, "published") if part.published else (title,) for title in titles.values()]
    header = ["data", "loss", "score", *chain(*columns), "runs"]
    if is_open_set(part):
        return markdown(header, rows, 3)
    return markdown(header[1:2] + header[3:], [row[1:2] + row[3:] for row in rows], 1)


def _side_by_side(part: Part, runs: Runs) -> list[str]:
    """Compare all losses with cross-entropy, trial by trial, over all data sets."""
    if not any(evaluated_runs(part, cell, runs) for cell in part.cells()):
        return []
    rows = []
    for loss in part.losses:
        row = [TITLES[loss], CLASS_TARGETS.get(loss, "")]
        for metric in ("auroc", "oscr"):
            pairs = list(_pairs(part, (loss, _BASELINE), runs, metric))
            row.append(percent([ours for ours, _ in pairs], spread=False) or NOT_RUN)
            row += _against(pairs) if loss != _BASELINE else ["–", "–"]
        rows.append(row)
    each = ("mean {}", "difference", "better in")
    header = ["loss", "class target", *(t.format(n) for n in ("AUROC", "OSCR") for t in each)]
    return [
        "Which class target makes the better open-set classifier: means over data sets and "
        "trials, and the difference from cross-entropy on the same trials.",
        "",
        *markdown(header, rows, 2),
        "",
    ]


def _pairs(
    part: Part, losses: tuple[str, str], runs: Runs, metric: str
) -> Iterator[tuple[float, float]]:
    """Yield the metric of two losses on each trial that both have."""
    for dataset in part.datasets:
        ours, others = (
            {
                name.partition("_seed")[2]: metrics[metric]
                for name, metrics in own_metrics(part, (dataset, one), runs).items()
            }
            for one in losses
        )
        yield from ((ours[key], others[key]) for key in ours if key in others)


def _about_dsc(part: Part, runs: Runs) -> list[str]:
    """Compare the Deep Simplex Classifier with each other objective, for and against."""
    lines = []
    for other in part.losses:
        told = []
        for metric in ("auroc", "oscr"):
            pairs = list(_pairs(part, (_DSC, other), runs, metric)) if other != _DSC else []
            if pairs:
                difference, better = _against(pairs)
                told.append(f"{_OPEN_SET[metric]} {difference} points, better in {better}")
        if told:
            lines.append(f"- DSC against {TITLES[other]}: {'; '.join(told)} trials.")
    return [*lines, ""] if lines else []


def _against(pairs: Sequence[tuple[float, float]]) -> list[str]:
    """Return mean difference in points of percent, and how often the first is larger."""
    if not pairs:
        return ["–", "–"]
    differences = [100 * (ours - other) for ours, other in pairs]
    won = sum(difference > 0 for difference in differences)
    return [f"{statistics.fmean(differences):+.1f}", f"{won} of {len(pairs)}"]


def _scores_table(part: Part, runs: Runs) -> list[str]:
    """Return AUROC of each data set and loss by every score."""
    rows, scores = [], {}
    for cell in part.cells():
        found: dict[str, list[float]] = {}
        for run in evaluated_runs(part, cell, runs):
            for row in run.evaluation:
                found.setdefault(row["score"], []).append(row["auroc"])
        scores |= dict.fromkeys(found)
        rows.append((cell, found))
    if not scores:
        return []
    cells = [
        [dataset, TITLES[loss], *(percent(found.get(score, [])) or "–" for score in scores)]
        for (dataset, loss), found in rows
    ]
    table = markdown(["data", "loss", *scores], cells, 2)
    return ["AUROC by all scores of the same networks:", "", *table, ""]
