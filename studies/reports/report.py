"""Report of a study: what it is, tables of what it reached, and its pictures, as Markdown."""

import statistics
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

from storage.files import replacing
from studies.choice import Outcome, chosen_rate, outcome
from studies.reports.evaluations import evaluation_tables
from studies.reports.tables import NOT_RUN, markdown, percent
from studies.results import FLOAT32, PRECISION, STORED, Run, Runs, read_runs, runs_of
from studies.study import TITLES, Cell, Part, Study, load
from sweeping.grid import LEARNING_RATES, PAPER, PROTOCOLS, VALIDATION, number

REPORT = "report.md"
_COMPARED = ("data", "protocol", "loss A", "loss B", "runs", "B − A", "p (Welch)")
DIVERGED = "diverged"
SIGNIFICANT = 0.05
"""Largest p of Welch's t-test at which a difference counts."""

PROTOCOL_NAMES = {PAPER: "best epoch", VALIDATION: "held-out"}
_EXPLANATION = (
    "Test accuracy in percent, mean ± standard deviation over the runs. **Best epoch** is the "
    "paper's protocol: the epoch is chosen by test accuracy, which is optimistic, and so is the "
    "learning rate, unless the study takes a published one or chooses it on held-out samples. "
    "**Held-out**: the learning rate is chosen on held-out training samples, or fixed beforehand, "
    "and the accuracy is that after the last epoch; the test samples play no part in either choice."
)
_LISTED = 6  # parts of a study that were not run


def description(study: Study) -> list[str]:
    """Return what a study consists of, for ``study.py show``."""
    lines = [study.title, *filter(None, [study.text])]
    for scale, parts in (("paper", study.paper), ("reduced", study.reduced)):
        for part in parts:
            lines += ["", f"--scale {scale}: {part.title}", *_contents(part)]
    if study.reduced_in:
        lines += ["", f"reduced scale: {', '.join(study.reduced_in)}"]
    if study.reduced_text:
        lines += ["", study.reduced_text]
    return lines


def _rates(rates: Sequence[float]) -> str:
    """List learning rates, or how many there are and their range."""
    if len(rates) <= len(LEARNING_RATES):
        return f"rates {' '.join(map(number, rates))}"
    return f"{len(rates)} rates from {number(min(rates))} to {number(max(rates))}"


def _contents(part: Part) -> list[str]:
    rates = {loss: _rates(part.rates_of(loss)) for loss in part.losses}
    lines = [f"  data sets: {' '.join(part.datasets)}", f"  options: {part.options}"]
    lines += [f"  {name}: {part.extra[name]}" for name in part.datasets if name in part.extra]
    more = {loss: f", {part.extra[loss]}" for loss in part.losses if loss in part.extra}
    lines += [f"  {loss}: {rates[loss]}{more.get(loss, '')}" for loss in part.losses]
    lines += [f"  seeds: {' '.join(map(str, part.seeds))}", *_search(part)]
    return lines + [
        f"  published: {dataset} {loss} {accuracy}"
        for (dataset, loss), accuracy in part.reported.items()
        if (dataset, loss) in part.cells()
    ]


def _search(part: Part) -> list[str]:
    """Say how the learning rate is chosen."""
    if all(len(part.rates_of(loss)) == 1 for loss in part.losses):
        return []
    by = {PAPER: "by the best test accuracy", VALIDATION: "on held-out samples"}
    how = f"  rate chosen {' and '.join(by[protocol] for protocol in part.protocols)}"
    how += f" of {part.chosen_on}" if part.chosen_on else ""
    how += f", with {part.search_seeds} seed{'s' * (part.search_seeds > 1)}"
    how += f", {part.extra[VALIDATION]}" if VALIDATION in part.extra else ""
    fixed = [
        f"{x} {' or '.join(map(number, rates))}"
        for x, rates in part.paper_rates.items()
        if x in part.losses
    ]
    return [how, *([f"  best epoch: rates {', '.join(fixed)}"] if fixed else [])]


def write_report(study: Study, folder: Path) -> list[str]:
    """Write the report of the results in a folder, and the pictures.

    Returns:
        The lines of the report.

    Raises:
        UserError: results are damaged, or a file cannot be written.
    """
    from studies.reports.figures import draw

    draw(study, read_runs(folder), folder)
    lines = report(study, folder)
    with replacing(folder / REPORT) as temporary:
        temporary.write_text("\n".join(lines) + "\n")
    return lines


def report(study: Study, folder: Path) -> list[str]:
    """Return the lines of the report of the results in a folder, whose pictures are there."""
    lines = [f"# {study.title}", "", *([study.text, ""] if study.text else [])]
    if study.paper or study.reduced:
        lines += [_EXPLANATION, ""]
    lines += [*sections(study, folder), *_embedded(study, folder, "")]
    for other in map(load, study.reduced_in):
        stored = STORED / other.name
        lines += [*sections(other, stored), *_embedded(other, stored, f"../{other.name}/")]
    return lines[:-1]


def _embedded(study: Study, folder: Path, path: str) -> list[str]:
    names = [file.name for name in study.draws for file in sorted(folder.glob(f"{name}*.png"))]
    return [line for n in names for line in (f"![{Path(n).stem}]({path}{n})", "")]


def sections(study: Study, folder: Path) -> list[str]:
    """Return the tables of all parts, with what was reduced and how long it took."""
    runs, lines = read_runs(folder), []
    empty = [p for p in study.paper if not (p.reported or p.published or runs_of(runs, p))]
    for scale, parts in (("Paper", study.paper), ("Reduced", study.reduced)):
        for part in (part for part in parts if part not in empty):
            of_part = runs_of(runs, part)
            lines += [f"## {scale} scale: {study.name}, {part.title}", ""]
            lines += [*table(part, of_part), "", *comparison(part, of_part)]
            lines += fitting(part, of_part) if "curves" in study.draws else []
            lines += evaluation_tables(part, of_part)
        if parts and scale == "Reduced" and study.reduced_text:
            lines += [study.reduced_text, ""]
    if empty:
        lines += [f"Not run at paper scale: {_titles(empty)}.", ""]
    if runs:
        lines += [_cost(runs), ""]
    return lines


def _titles(parts: Sequence[Part]) -> str:
    titles = [part.title for part in parts]
    more = f" and {len(titles) - _LISTED} more" if len(titles) > _LISTED else ""
    return "; ".join(titles[:_LISTED]) + more


def _cost(runs: Sequence[Run]) -> str:
    hours = sum(run.seconds for run in runs) / 3600
    commits = ", ".join(sorted({_short(run.commit) for run in runs}))
    versions = {f"{k} {v}" for run in runs for k, v in run.versions.items()}
    used = sorted(v for v in versions if v.split()[0] in ("backend", "keras", "tensorflow", "jax"))
    return f"Runs: {len(runs)}, {hours:.1f} hours. Code: {commits}; {', '.join(used)}."


def _short(commit: str | None) -> str:
    """Shorten a commit, but not the mark of changes after it."""
    return (commit or "unknown")[:10] + "+" * (commit or "").endswith("+")


def table(part: Part, runs: Runs, cells: Sequence[Cell] | None = None) -> list[str]:
    """Return ours, what is published and the difference, a row per data set and loss, as Markdown.

    Args:
        part: of a study.
        runs: its trials.
        cells: the rows; None: all.
    """
    rows = [_row(part, cell, runs) for cell in (part.cells() if cells is None else cells)]
    columns = ["difference", "rate", "rates tried", "runs"]
    header = ["data", "loss", "published", "best epoch", *columns, "held-out", *columns]
    left = 2
    if len(part.datasets) == 1:
        header, rows, left = header[1:], [row[1:] for row in rows], 1
    kept = [i for i in range(len(header)) if any(row[i] for row in rows)]
    return markdown([header[i] for i in kept], [[row[i] for i in kept] for row in rows], left)


def _row(part: Part, cell: Cell, runs: Runs) -> list[str]:
    outcomes = {protocol: outcome(part, cell, protocol, runs) for protocol in PROTOCOLS}
    row = [cell[0], _title(part, cell[1], outcomes.values()), _published(part, cell)]
    for protocol, found in outcomes.items():
        compared = _above(part, cell, found) if protocol == part.shown[0] else ""
        shown = [accuracy(found), compared, *_progress(found)]
        row += shown if protocol in part.shown else [""] * len(shown)
    return row


def _title(part: Part, loss: str, outcomes: Iterable[Outcome]) -> str:
    """Return the name of a loss, and in which precision it was trained if rows may differ in it."""
    found = {o.precision for o in outcomes} - {"", FLOAT32}
    differs = found and PRECISION not in part.options
    return TITLES.get(loss, loss) + (f" ({', '.join(sorted(found))})" if differs else "")


def _published(part: Part, cell: Cell) -> str:
    return str(part.reported.get(cell, "–")) if part.reported else ""


def _above(part: Part, cell: Cell, found: Outcome) -> str:
    """Return how much ours is above the published accuracy."""
    if cell in part.reported and found.values:
        return f"{100 * statistics.fmean(found.values) - part.reported[cell]:+.1f}"
    return "–" if part.reported else ""


def _progress(found: Outcome) -> list[str]:
    """Return the chosen rate, how many were tried and which diverged, and the number of runs."""
    rate = "–" if found.rate is None else number(found.rate)
    lost = f" ({', '.join(map(number, found.diverged))} diverged)" if found.diverged else ""
    return [rate, f"{found.tried}{lost}", str(len(found.values))]


def accuracy(found: Outcome) -> str:
    """Return mean ± standard deviation in percent, or why there is none."""
    return percent(found.values) or (DIVERGED if found.diverged else NOT_RUN)


def welch(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Return the two-sided p-value of Welch's t-test; None if there are too few values.

    Two samples without any spread have none either.
    """
    from scipy.stats import ttest_ind

    if min(len(first), len(second)) < 2 or len({*first}) == len({*second}) == 1:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # one sample without spread
        return float(ttest_ind(first, second, equal_var=False).pvalue)


def comparison(part: Part, runs: Runs) -> list[str]:
    """Return the differences of losses by data set, with Welch's t-test, as Markdown."""
    rows = differences(part, runs)
    return [*markdown(_COMPARED, rows, 4), ""] if rows else []


def fitting(part: Part, runs: Runs) -> list[str]:
    """Return how well training and test samples are fitted in the end, a row per loss, as Markdown.

    At the paper's choice of rate. The training samples are augmented, and the network changes
    during the epoch.
    """
    rows = [_fit(part, (dataset, loss), runs) for dataset, loss in part.cells()]
    header = ["loss", "training samples", "test samples", "gap", "runs"]
    rows = [row for row in rows if row] if len(part.datasets) == 1 else []
    return ["After the last epoch:", "", *markdown(header, rows, 1), ""] if rows else []


def _fit(part: Part, cell: Cell, runs: Runs) -> list[str]:
    rate = chosen_rate(part, cell, PAPER, runs)
    names = [] if rate is None else [trial.name for trial in part.repeated(cell, rate)]
    found = [runs[n] for n in names if n in runs and runs[n].test is not None]
    found = [run for run in found if run.training_curve and run.training_curve[-1] is not None]
    if not found:
        return []
    training, test = [run.training_curve[-1] for run in found], [run.test for run in found]
    gap = [a - b for a, b in zip(training, test, strict=True)]
    title = _title(part, cell[1], [outcome(part, cell, PAPER, runs)])
    return [title, *map(percent, (training, test, gap)), str(len(found))]


def differences(part: Part, runs: Runs) -> list[list[str]]:
    """Return a row per protocol, data set and pair of losses that were both run on it."""
    return [
        [dataset, PROTOCOL_NAMES[protocol], *found]
        for protocol in part.shown
        for dataset in part.datasets
        if dataset not in part.superseded
        for other in part.compared[1:]
        if (found := _difference(part, dataset, (part.compared[0], other), protocol, runs))
    ]


def _difference(
    part: Part, dataset: str, losses: tuple[str, str], protocol: str, runs: Runs
) -> list[str]:
    found = [outcome(part, (dataset, loss), protocol, runs) for loss in losses]
    if not all(side.values for side in found):
        return []
    first, second = (statistics.fmean(side.values) for side in found)
    p = welch(*(side.values for side in found))
    sides = [f"{TITLES[loss]}: {accuracy(side)}" for loss, side in zip(losses, found, strict=True)]
    counts = " and ".join(str(len(side.values)) for side in found)
    shown = "–" if p is None else f"{p:.2g}"
    return [*sides, counts, f"{100 * (second - first):+.1f}", shown]
