"""Learning-rate selection and the resulting accuracies."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from studies.results import Run, Runs, precision
from studies.study import Cell, Part
from sweeping.grid import PAPER, Trial
from sweeping.results.table import select
from sweeping.store import DIVERGED


@dataclass(frozen=True)
class Outcome:
    """Accuracies of a loss on a data set by one protocol.

    Attributes:
        rate: chosen learning rate, or None.
        values: accuracies of the seeds that have been run at this rate, in [0, 1].
        tried: candidates at which all trials have a result or diverged, of how many.
        diverged: rates at which a training diverged.
        precision: number type in which the runs at the rate were trained.
    """

    rate: float | None
    values: tuple[float, ...] = ()
    tried: str = ""
    diverged: tuple[float, ...] = ()
    precision: str = ""


def chosen_rate(part: Part, cell: Cell, protocol: str, runs: Runs) -> float | None:
    """Return the learning rate that a protocol chooses.

    ``paper``: that of the best test accuracy in any epoch, among the candidates or, if there are
    any, ``paper_rates``; or the only rate. Where the part chooses on held-out samples only and has
    no ``paper_rates``, the paper's protocol takes that rate, too. ``validation``: that of the
    best accuracy on the held-out samples after the last epoch, or the mean of the last few; the
    only rate, if this protocol is reported.

    Args:
        part: part of a study.
        cell: data set and loss.
        protocol: one of ``sweeping.grid.PROTOCOLS``.
        runs: trials of the part.

    Returns:
        The rate; None if no rate has been tried with all seeds that choose.
    """
    rates = part.rates_of(cell[1])
    if protocol == PAPER and (fixed := part.paper_rates.get(cell[1])):
        best = {rate: _mean_best(part.repeated(cell, rate), runs) for rate in fixed}
        return max(best, key=best.__getitem__)
    if len(rates) == 1:
        return rates[0] if protocol in part.shown else None
    trials = part.candidates(cell, part.deciding(protocol))
    rows = [
        {"learning_rate": t.point.learning_rate, "by": _deciding(t, runs, part.search.averaged)}
        for t in trials
    ]
    return select(rows, "by", "by").learning_rate if rows else None


def _mean_best(trials: Sequence[Trial], runs: Runs) -> float:
    """Return the mean accuracy in the best epoch; -1 unless all trials have one."""
    found = _accuracies([runs[trial.name] for trial in trials if trial.name in runs], PAPER)
    return statistics.fmean(found) if len(found) == len(trials) else -1.0


def _deciding(trial: Trial, runs: Runs, averaged: int) -> float | None:
    """Return the accuracy that decides about the rate of a trial."""
    run = runs.get(trial.name)
    if run is None or trial.protocol == PAPER:
        return run and run.best
    judged = [accuracy for accuracy in run.judged_curve if accuracy is not None]
    return statistics.fmean(judged[-averaged:]) if averaged > 1 and judged else run.last


def outcome(part: Part, cell: Cell, protocol: str, runs: Runs) -> Outcome:
    """Return the accuracies of a loss on a data set.

    Both protocols report runs on all training samples: ``paper`` the accuracy on the test
    samples in the best epoch, ``validation`` that after the last epoch.
    """
    candidates = part.candidates(cell, protocol)
    rate = chosen_rate(part, cell, protocol, runs)
    fixed = part.paper_rates.get(cell[1], ()) if protocol == PAPER else ()
    rates = dict.fromkeys((*fixed, *([] if rate is None else [rate])))
    trials = [*candidates, *(t for other in rates for t in part.repeated(cell, other))]
    lost = [t for t in trials if t.name in runs and runs[t.name].status == DIVERGED]
    diverged = tuple(dict.fromkeys(t.point.learning_rate for t in lost))
    tried = _tried(candidates, runs)
    if rate is None:
        return Outcome(None, (), tried, diverged)
    repeated = [runs[t.name] for t in part.repeated(cell, rate) if t.name in runs]
    trained_in = next(map(precision, repeated), "")
    return Outcome(rate, _accuracies(repeated, protocol), tried, diverged, trained_in)


def _tried(candidates: Sequence[Trial], runs: Runs) -> str:
    """Return the number of rates at which all trials have ended, of how many."""
    rates = {trial.point.learning_rate for trial in candidates}
    missing = {trial.point.learning_rate for trial in candidates if trial.name not in runs}
    return f"{len(rates - missing)}/{len(rates)}" if rates else ""


def _accuracies(runs: Sequence[Run], protocol: str) -> tuple[float, ...]:
    found = (run.best if protocol == PAPER else run.test for run in runs)
    return tuple(value for value in found if value is not None)
