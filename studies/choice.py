"""Which learning rate a protocol chooses, and what was reached with it."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from studies.results import Run, Runs, precision, runs_of
from studies.study import Cell, Part
from sweeping.grid import PAPER, VALIDATION, Trial
from sweeping.results.table import select
from sweeping.store import DIVERGED


@dataclass(frozen=True)
class Outcome:
    """Accuracies of a loss on a data set by one protocol.

    Attributes:
        rate: that was chosen, or None.
        values: accuracies of the seeds that have been run at this rate, in [0, 1].
        tried: candidates that have a result or diverged, of how many.
        diverged: candidates at which a training diverged.
        precision: of the trainings at the rate.
    """

    rate: float | None
    values: tuple[float, ...] = ()
    tried: str = ""
    diverged: tuple[float, ...] = ()
    precision: str = ""


def chosen_rate(part: Part, cell: Cell, protocol: str, runs: Runs) -> float | None:
    """Return the learning rate that a protocol chooses.

    ``paper``: that of the best test accuracy in any epoch, or the only rate. Where the part chooses
    on held-out samples only, the paper's protocol takes that rate, too. ``validation``: that of the
    best accuracy on the held-out samples after the last epoch, or the mean of the last few; the
    only rate, if this protocol is reported.

    Args:
        part: of the study.
        cell: data set and loss.
        protocol: one of ``sweeping.grid.PROTOCOLS``.
        runs: trials of the part.

    Returns:
        The rate; None if no rate has been tried with all seeds that choose.
    """
    rates = part.rates_of(cell[1])
    if len(rates) == 1:
        return rates[0] if protocol in part.shown else None
    if protocol == PAPER and PAPER not in part.protocols:
        protocol = VALIDATION
    trials = part.candidates(cell, protocol)
    rows = [
        {"learning_rate": t.point.learning_rate, "by": _deciding(t, runs, part.averaged)}
        for t in trials
    ]
    return select(rows, "by", "by").learning_rate if rows else None


def _deciding(trial: Trial, runs: Runs, averaged: int) -> float | None:
    """Return the accuracy that decides about the rate of a trial."""
    run = runs.get(trial.name)
    if run is None or trial.protocol == PAPER:
        return run and run.best
    judged = [accuracy for accuracy in run.judged_curve if accuracy is not None]
    return statistics.fmean(judged[-averaged:]) if averaged > 1 and judged else run.last


def outcome(part: Part, cell: Cell, protocol: str, runs: Runs) -> Outcome:
    """Return the accuracies of a loss on a data set.

    Both protocols report trainings on all training samples: ``paper`` the accuracy on the test
    samples in the best epoch, ``validation`` that after the last epoch.
    """
    candidates = part.candidates(cell, protocol)
    ended = {t.point.learning_rate: runs[t.name] for t in candidates if t.name in runs}
    diverged = tuple(rate for rate, run in ended.items() if run.status == DIVERGED)
    tried = f"{len(ended)}/{len(part.rates_of(cell[1]))}" if candidates else ""
    rate = chosen_rate(part, cell, protocol, runs)
    if rate is None:
        return Outcome(None, (), tried, diverged)
    repeated = [runs[t.name] for t in part.repeated(cell, rate) if t.name in runs]
    if any(run.status == DIVERGED for run in repeated):
        diverged = tuple(dict.fromkeys((*diverged, rate)))
    trained_in = next(map(precision, repeated), "")
    return Outcome(rate, _accuracies(repeated, protocol), tried, diverged, trained_in)


def _accuracies(runs: Sequence[Run], protocol: str) -> tuple[float, ...]:
    found = (run.best if protocol == PAPER else run.test for run in runs)
    return tuple(value for value in found if value is not None)


def alike(parts: Iterable[Part], dataset: str) -> list[list[Part]]:
    """Group parts with the same options, whose trainings on a data set differ by loss and rate.

    Parts whose trainings on it are superseded are left out.
    """
    groups: dict[str, list[Part]] = {}
    for part in parts:
        if dataset in part.datasets and dataset not in part.superseded:
            groups.setdefault(part.options, []).append(part)
    return list(groups.values())


def best_outcome(parts: Sequence[Part], cell: Cell, protocol: str, runs: Sequence[Run]) -> Outcome:
    """Return the outcome of one of several parts, each with other learning rates.

    ``paper`` takes the part with the highest mean, since it chooses rates by test accuracy anyway;
    ``validation`` takes the first that has been run.

    Args:
        parts: as ``alike`` groups them.
        cell: data set and loss; parts without it, or that do not report the protocol, do not count.
        protocol: one of ``sweeping.grid.PROTOCOLS``.
        runs: of the study.
    """
    reporting = [p for p in parts if cell in p.cells() and protocol in p.shown]
    found = [outcome(p, cell, protocol, runs_of(runs, p)) for p in reporting]
    if protocol == PAPER:
        found.sort(key=_mean, reverse=True)
    return next((side for side in found if side.values), next(iter(found), Outcome(None)))


def _mean(found: Outcome) -> float:
    return statistics.fmean(found.values) if found.values else -1.0
