"""Plot of the accuracy over the learning rate."""

import statistics
from collections.abc import Sequence
from pathlib import Path

from evaluation.line_styles import line_styles
from storage.plots import save_plot
from sweeping.grid import number
from sweeping.table import BEST_TEST, LAST_VAL, Row

_PANELS = {
    BEST_TEST: "best test accuracy of any epoch",
    LAST_VAL: "accuracy on held-out images, last epoch",
}


def write_plot(path: Path, rows: Sequence[Row]) -> None:
    """Plot the means over seeds, one line per loss, bars of one standard deviation.

    Args:
        path: the file; its ending chooses the format.
        rows: of one data set; each of the two protocols that they have gets a panel.

    Raises:
        UserError: the file cannot be written.
    """
    from matplotlib.figure import Figure

    columns = [name for name in _PANELS if any(row[name] is not None for row in rows)]
    figure = Figure(figsize=(4.8 * len(columns), 3.8), layout="constrained")
    panels = figure.subplots(1, len(columns), squeeze=False)[0]
    for panel, column in zip(panels, columns, strict=True):
        _draw(panel, rows, column)
    panels[0].set_ylabel("accuracy in percent")
    panels[0].legend(frameon=False)
    figure.suptitle(rows[0]["dataset"])
    save_plot(figure, path, dpi=150)


def _draw(panel, rows: Sequence[Row], column: str) -> None:
    losses = dict.fromkeys(row["loss"] for row in rows)
    for loss, style in zip(losses, line_styles(), strict=False):
        rates, means, stds = _curve([row for row in rows if row["loss"] == loss], column)
        panel.errorbar(rates, means, stds, label=loss, marker="o", capsize=3, **style)
    rates = sorted({row["learning_rate"] for row in rows})
    panel.set_xscale("log")
    panel.set_xticks(rates, [number(rate) for rate in rates])
    panel.minorticks_off()
    panel.set_xlabel("largest learning rate")
    panel.set_title(_PANELS[column], fontsize="medium")
    panel.grid(alpha=0.3)
    panel.spines[["top", "right"]].set_visible(False)


def _curve(rows: Sequence[Row], column: str) -> tuple[list[float], list[float], list[float] | None]:
    """Return rates that have been run, ascending, with mean and standard deviation in percent.

    With a single seed there is no deviation.
    """
    values: dict[float, list[float]] = {}
    for row in sorted(rows, key=lambda row: row["learning_rate"]):
        if row[column] is not None:
            values.setdefault(row["learning_rate"], []).append(100 * row[column])
    stds = [statistics.stdev(v) if len(v) > 1 else 0.0 for v in values.values()]
    return list(values), [statistics.fmean(v) for v in values.values()], stds if any(stds) else None
