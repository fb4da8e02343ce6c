"""Report of a study: what it is, tables of what it reached, and its pictures, as Markdown."""

import os
from collections.abc import Sequence
from pathlib import Path

from storage.files import replacing
from studies.reports.accuracies import fitting, table
from studies.reports.comparison import comparison
from studies.reports.evaluations import evaluation_tables
from studies.results import STORED, Run, Runs, read_runs, runs_of
from studies.study import Cell, Part, Study, load

REPORT = "report.md"
_EXPLANATION = (
    "Test accuracy in percent, mean ± standard deviation over the runs. **Best epoch** is the "
    "paper's protocol: the epoch is chosen by test accuracy, which is optimistic, and so is the "
    "learning rate, unless the study takes a published one or chooses it on held-out samples. "
    "**Held-out**: the learning rate is chosen on held-out training samples, or fixed beforehand, "
    "and the accuracy is that after the last epoch; the test samples play no part in either choice."
)
_LISTED = 6  # parts of a study that were not run


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
        path = Path(os.path.relpath(stored, folder)).as_posix()
        lines += [*sections(other, stored), *_embedded(other, stored, f"{path}/")]
    return lines[:-1]


def _embedded(study: Study, folder: Path, path: str) -> list[str]:
    of_parts = sorted({"", *(f"-{part.folder}" for part in (*study.paper, *study.reduced))})
    names = [f"{name}{of}" for name in study.draws for of in of_parts]
    drawn = [name for name in names if (folder / f"{name}.png").exists()]
    return [line for name in drawn for line in (f"![{name}]({path}{name}.png)", "")]


def sections(study: Study, folder: Path) -> list[str]:
    """Return the tables of all parts, with what was reduced and how long it took."""
    runs, lines = read_runs(folder), []
    empty = [
        p
        for p in study.paper
        if not (p.published_accuracies or p.published_metrics or runs_of(runs, p))
    ]
    for scale, parts in (("Paper", study.paper), ("Reduced", study.reduced)):
        for part in (part for part in parts if part not in empty):
            of_part = runs_of(runs, part)
            lines += [f"## {scale} scale: {study.name}, {part.title}", ""]
            lines += part_tables(study, part, of_part)
        if parts and scale == "Reduced" and study.reduced_text:
            lines += [study.reduced_text, ""]
    if empty:
        lines += [f"Not run at paper scale: {_titles(empty)}.", ""]
    if runs:
        lines += [_cost(runs), ""]
    return lines


def part_tables(
    study: Study, part: Part, runs: Runs, cells: Sequence[Cell] | None = None
) -> list[str]:
    """Return the tables of a part, as Markdown.

    Args:
        study: the study.
        part: part of the study.
        runs: its trials.
        cells: rows of the accuracies; None: all.
    """
    lines = [*table(part, runs, cells), "", *comparison(part, runs)]
    lines += fitting(part, runs) if part.fitting else []
    return lines + evaluation_tables(part, runs)


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
