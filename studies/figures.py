"""Pictures of studies, as SVG and PNG, readable in gray."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from datasets.names import parse_name
from evaluation.line_styles import line_styles
from storage.plots import save_plot
from studies.choice import chosen_rate, outcome
from studies.results import Run, Runs, runs_of
from studies.study import TITLES, Part, Study
from sweeping.grid import PAPER, PROTOCOLS, VALIDATION
from training.parallel.startup import import_backend

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKERS = "osD^vX*"
_FORMATS = (".svg", ".png")
_PANELS = {
    PAPER: "in the best epoch, rate chosen on test samples",
    VALIDATION: "after the last epoch, rate chosen on held-out samples",
}


def draw(study: Study, runs: Sequence[Run], folder: Path) -> None:
    """Draw all pictures for which there are results.

    Raises:
        UserError: a file cannot be written.
    """
    parts = (*study.paper, *study.reduced)
    found = [
        (f"{name}-{part.folder}".rstrip("-"), figure)
        for name in study.draws
        if name != "losses"
        for part in parts
        if (figure := _DRAWN[name](part, runs_of(runs, part.folder)))
    ]
    if "losses" in study.draws:
        from studies.figure_1 import figure_of_losses

        import_backend()
        found.append(("losses", figure_of_losses()))
    for name, figure in found:
        for suffix in _FORMATS:
            save_plot(figure, folder / f"{name}{suffix}", dpi=120)


def sizes(part: Part, runs: Runs) -> "Figure | None":
    """Plot the accuracy by samples per class, a curve per loss, a panel per protocol."""
    curves = {
        protocol: {loss: _by_size(part, loss, protocol, runs) for loss in part.losses}
        for protocol in PROTOCOLS
    }
    curves = {p: found for p, found in curves.items() if any(len(c) > 1 for c in found.values())}
    if not curves:
        return None
    figure = new_figure(len(curves))
    panels = figure.subplots(1, len(curves), sharey=True, squeeze=False)[0]
    for panel, (protocol, found) in zip(panels, curves.items(), strict=True):
        for (loss, points), style in zip(found.items(), _styles(), strict=False):
            if points:
                x, mean, spread = zip(*points, strict=True)
                panel.errorbar(x, mean, spread, label=TITLES[loss], capsize=3, **style)
        ticks = sorted({x for points in found.values() for x, *_ in points})
        panel.set_xscale("log")
        panel.set_xticks(ticks, [f"{x:g}" for x in ticks])
        panel.minorticks_off()
        _finish(panel, "training samples per class", f"Test accuracy {_PANELS[protocol]}")
    panels[0].legend(frameon=False)
    return figure


def _by_size(part: Part, loss: str, protocol: str, runs: Runs) -> list[tuple[float, float, float]]:
    """Return size, mean and standard deviation in percent, by ascending size."""
    points = []
    for dataset in part.datasets:
        size = parse_name(dataset).per_class or part.full_size
        values = [100 * v for v in outcome(part, (dataset, loss), protocol, runs).values]
        if size and values:
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            points.append((size, statistics.fmean(values), spread))
    return sorted(points)


def curves(part: Part, runs: Runs) -> "Figure | None":
    """Plot the accuracy on training and test samples by epoch, at the paper's choice of rate."""
    if len(part.datasets) > 1:
        return None
    found = first_runs(part, runs)
    if not found:
        return None
    figure = new_figure(1)
    title = f"{part.datasets[0]}: accuracy while training, seed {part.seeds[0]}"
    draw_curves(figure.subplots(), found, title)
    return figure


def draw_curves(panel: "Axes", runs: Mapping[str, Run], title: str) -> None:
    """Draw the accuracy on training and test samples by epoch.

    Args:
        panel: of a figure.
        runs: by loss.
        title: of the panel.
    """
    for (loss, run), style in zip(runs.items(), _styles(), strict=False):
        for curve, on, line in (
            (run.judged_curve, "test", "-"),
            (run.training_curve, "training", ":"),
        ):
            points = [(i, 100 * v) for i, v in enumerate(curve, start=1) if v is not None]
            looks = style | {"linestyle": line, "markevery": max(len(points) // 8, 1)}
            panel.plot(*zip(*points, strict=True), label=f"{TITLES[loss]}: {on}", **looks)
    _finish(panel, "epoch", title)
    panel.legend(frameon=False, fontsize="small")


def first_runs(part: Part, runs: Runs) -> dict[str, Run]:
    """Return a run per loss with curves, at the paper's choice of rate, with the first seed."""
    found = {}
    for loss in part.losses:
        cell = (part.datasets[0], loss)
        rate = chosen_rate(part, cell, PAPER, runs)
        run = None if rate is None else runs.get(part.repeated(cell, rate)[0].name)
        if run and run.judged_curve:
            found[loss] = run
    return found


def _styles() -> Iterable[dict[str, str]]:
    for style, marker in zip(line_styles(), _MARKERS, strict=False):
        yield style | {"marker": marker, "markersize": 5}


def new_figure(panels: int) -> "Figure":
    """Return a figure for a row of panels."""
    from matplotlib.figure import Figure

    return Figure(figsize=(6.4 * panels, 4.2), layout="constrained")


def _finish(panel, x: str, title: str) -> None:
    panel.set(xlabel=x, ylabel="accuracy in percent")
    panel.set_title(title, fontsize="medium")
    panel.grid(alpha=0.3)
    panel.spines[["top", "right"]].set_visible(False)


_DRAWN = {"sizes": sizes, "curves": curves}
