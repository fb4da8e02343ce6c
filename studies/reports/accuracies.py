"""Tables of accuracies: ours beside those that are published, and on training and test samples."""

import statistics
from collections.abc import Mapping, Sequence

from studies.choice import Outcome, chosen_rate, outcome
from studies.reports.tables import NOT_RUN, PROTOCOL_NAMES, markdown, percent
from studies.results import FLOAT32, PRECISION, Runs
from studies.study import TITLES, Cell, Part
from sweeping.grid import PAPER, PROTOCOLS, number

DIVERGED = "diverged"


def table(part: Part, runs: Runs, cells: Sequence[Cell] | None = None) -> list[str]:
    """Return ours, what is published and the difference, a row per data set and loss, as Markdown.

    Args:
        part: part of a study.
        runs: its trials.
        cells: the rows; None: all.
    """
    rows = [_row(part, cell, runs) for cell in (part.cells() if cells is None else cells)]
    columns = ["difference", "rate", "rates tried", "runs"]
    header = ["data", "loss", "published", "best epoch", *columns, "held-out", *columns]
    return _filled(part, header, rows)


def _filled(part: Part, header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a table without empty columns, nor that of the data set if there is only one."""
    start = 0 if len(part.datasets) > 1 else 1
    kept = [i for i in range(start, len(header)) if any(row[i] for row in rows)]
    return markdown([header[i] for i in kept], [[row[i] for i in kept] for row in rows], 2 - start)


def _row(part: Part, cell: Cell, runs: Runs) -> list[str]:
    outcomes = {protocol: outcome(part, cell, protocol, runs) for protocol in PROTOCOLS}
    row = [cell[0], _title(part, cell[1], outcomes), _published(part, cell)]
    for protocol, found in outcomes.items():
        compared = _above(part, cell, found) if protocol == part.shown[0] else ""
        shown = [accuracy(found), compared, *_progress(found)]
        row += shown if protocol in part.shown else [""] * len(shown)
    return row


def _title(part: Part, loss: str, outcomes: Mapping[str, Outcome]) -> str:
    """Return the name of a loss, and its precision where that is free and not float32.

    Args:
        part: part of a study.
        loss: name of the loss.
        outcomes: its outcomes by protocol; the protocol is named if they differ in precision.
    """
    title = TITLES.get(loss, loss)
    found = {p: o.precision for p, o in outcomes.items() if o.precision}
    precisions = {*found.values()}
    if PRECISION in part.options or precisions <= {FLOAT32}:
        return title
    if len(precisions) == 1:
        return f"{title} ({precisions.pop()})"
    notes = [f"{PROTOCOL_NAMES[p]}: {name}" for p, name in found.items() if name != FLOAT32]
    return f"{title} ({', '.join(notes)})"


def _published(part: Part, cell: Cell) -> str:
    return str(part.published_accuracies.get(cell, "–")) if part.published_accuracies else ""


def _above(part: Part, cell: Cell, found: Outcome) -> str:
    """Return how much ours is above the published accuracy."""
    if cell in part.published_accuracies and found.values:
        return f"{100 * statistics.fmean(found.values) - part.published_accuracies[cell]:+.1f}"
    return "–" if part.published_accuracies else ""


def _progress(found: Outcome) -> list[str]:
    """Return the chosen rate, how many were tried and which diverged, and the number of runs."""
    rate = "–" if found.rate is None else number(found.rate)
    lost = f" ({', '.join(map(number, found.diverged))} diverged)" if found.diverged else ""
    return [rate, f"{found.tried}{lost}".strip(), str(len(found.values))]


def accuracy(found: Outcome) -> str:
    """Return mean ± standard deviation in percent, or why there is none."""
    lost = found.diverged and found.rate in (None, *found.diverged)
    return percent(found.values) or (DIVERGED if lost else NOT_RUN)


def fitting(part: Part, runs: Runs) -> list[str]:
    """Return how well training and test samples are fitted in the end, as Markdown.

    A row per data set and loss, at the paper's choice of rate. The training samples are augmented,
    and the network changes during the epoch.
    """
    rows = [row for cell in part.cells() if (row := _fit(part, cell, runs))]
    best = PROTOCOL_NAMES[PAPER]
    header = ["data", "loss", "training samples", "test samples", "gap", "runs"]
    return (
        [f"After the last epoch, at the rates of *{best}*:", "", *_filled(part, header, rows), ""]
        if rows
        else []
    )


def _fit(part: Part, cell: Cell, runs: Runs) -> list[str]:
    rate = chosen_rate(part, cell, PAPER, runs)
    names = [] if rate is None else [trial.name for trial in part.repeated(cell, rate)]
    found = [runs[n] for n in names if n in runs and runs[n].test is not None]
    found = [run for run in found if run.training_curve and run.training_curve[-1] is not None]
    if not found:
        return []
    training, test = [run.training_curve[-1] for run in found], [run.test for run in found]
    gap = [a - b for a, b in zip(training, test, strict=True)]
    title = _title(part, cell[1], {PAPER: outcome(part, cell, PAPER, runs)})
    return [cell[0], title, *map(percent, (training, test, gap)), str(len(found))]
