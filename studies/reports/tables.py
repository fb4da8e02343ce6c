"""Cells and tables of reports, as Markdown."""

import statistics
from collections.abc import Sequence

from sweeping.grid import PAPER, VALIDATION

NOT_RUN = "not run"

PROTOCOL_NAMES = {PAPER: "best epoch", VALIDATION: "held-out"}


def percent(values: Sequence[float], spread: bool = True) -> str:
    """Return mean ± standard deviation of a sample in percent; ``""`` if there are no values.

    Args:
        values: accuracies in [0, 1].
        spread: whether the deviation is shown, where there are two values or more.
    """
    if not values:
        return ""
    values = [100 * value for value in values]
    deviation = f" ± {statistics.stdev(values):.1f}" if spread and len(values) > 1 else ""
    return f"{statistics.fmean(values):.1f}{deviation}"


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> list[str]:
    """Return a Markdown table, whose first columns are left-aligned."""
    line = ["---"] * left + ["---:"] * (len(header) - left)
    return [f"| {' | '.join(row)} |" for row in (header, line, *rows)]
