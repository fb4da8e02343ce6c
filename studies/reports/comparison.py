"""Compare losses with Welch's t-test."""

import math
import statistics
import warnings
from collections.abc import Sequence

from studies.choice import outcome
from studies.reports.accuracies import accuracy
from studies.reports.tables import PROTOCOL_NAMES, markdown
from studies.results import Runs
from studies.study import TITLES, Part

SIGNIFICANT = 0.05
"""Largest p of Welch's t-test at which a difference counts."""

_HEADER = ("data", "protocol", "loss A", "loss B", "runs", "B − A", "95 % interval", "p (Welch)")


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


def interval(first: Sequence[float], second: Sequence[float]) -> tuple[float, float] | None:
    """Return Welch's 95 % confidence interval of the second mean minus the first.

    None where ``welch`` is None.
    """
    from scipy.stats import ttest_ind

    if welch(first, second) is None:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # one sample without spread
        return tuple(ttest_ind(second, first, equal_var=False).confidence_interval(0.95))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number by Holm's step-down method, in the same order."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def welch_of_leads(
    first: tuple[Sequence[float], Sequence[float]], second: tuple[Sequence[float], Sequence[float]]
) -> float | None:
    """Return the two-sided p-value of a change between two differences of means.

    Welch's t-test for a contrast of four means, with the degrees of freedom of Welch and
    Satterthwaite; None if there are too few values, or none of them differ.

    Args:
        first: two samples, whose means differ by some lead.
        second: two other samples, with another lead.
    """
    from scipy.stats import t

    samples = (*first, *second)
    if min(map(len, samples)) < 2:
        return None
    low, high, later_low, later_high = map(statistics.fmean, samples)
    variances = [statistics.variance(sample) / len(sample) for sample in samples]
    if not any(variances):
        return None
    shares = [v**2 / (len(s) - 1) for v, s in zip(variances, samples, strict=True)]
    change = (later_high - later_low) - (high - low)
    freedom = sum(variances) ** 2 / sum(shares)
    return float(2 * t.sf(abs(change) / math.sqrt(sum(variances)), freedom))


def comparison(part: Part, runs: Runs) -> list[str]:
    """Return the differences of losses by data set, with Welch's t-test, as Markdown."""
    rows = differences(part, runs)
    return [*markdown(_HEADER, rows, 4), ""] if rows else []


def differences(part: Part, runs: Runs) -> list[list[str]]:
    """Return a row per protocol, data set and pair of losses that were both run on it."""
    return [
        [dataset, PROTOCOL_NAMES[protocol], *found]
        for protocol in part.shown
        for dataset in part.datasets
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
    values = [side.values for side in found]
    p, around = welch(*values), interval(*values)
    sides = [f"{TITLES[loss]}: {accuracy(side)}" for loss, side in zip(losses, found, strict=True)]
    counts = " and ".join(str(len(side.values)) for side in found)
    bounds = "–" if around is None else f"{100 * around[0]:+.1f} to {100 * around[1]:+.1f}"
    shown = "–" if p is None else f"{p:.2g}"
    return [*sides, counts, f"{100 * (second - first):+.1f}", bounds, shown]
