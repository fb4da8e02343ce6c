"""Pictures of studies, as SVG and PNG, readable in gray."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from datasets.names import parse_name
from evaluation.embeddings.plane import from_rows
from evaluation.embeddings.scatter import figure_of_features
from storage.plots import save_plot
from studies.choice import chosen_rate, outcome
from studies.reports.evaluations import own_metrics
from studies.results import Run, Runs, runs_of
from studies.study import TITLES, Part, Study
from sweeping.grid import PAPER, PROTOCOLS, VALIDATION
from sweeping.results.plot import curve_styles, finish, means, new_figure
from training.parallel.startup import import_backend

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FORMATS = (".svg", ".png")
_PANELS = {PAPER: "in the best epoch", VALIDATION: "after the last epoch"}
_LOOKS = {
    loss: style
    for losses in (
        ("xent", "cosine", "cosine+xent", "mse", "xent+ls", "semantic", "semantic+xent"),
        ("xent", "cosine", "cosine+xent", "dsc", "dsc_hinge", "dsc_softmax", "dsc_open"),
    )
    for loss, style in zip(losses, curve_styles(7), strict=True)
}
"""How a loss is drawn, in all pictures alike."""
_CHOSEN = {PAPER: "rate chosen on test samples", VALIDATION: "rate chosen on held-out samples"}


def draw(study: Study, runs: Sequence[Run], folder: Path) -> None:
    """Draw all pictures for which there are results.

    Raises:
        UserError: a file cannot be written.
    """
    parts = (*study.paper, *study.reduced)
    found = {
        f"{name}-{part.folder}".rstrip("-"): figure
        for name in study.draws
        if name != "losses"
        for part in reversed(parts)  # of parts that share a folder, the first
        if (figure := _DRAWN[name](part, runs_of(runs, part)))
    }
    if "losses" in study.draws:
        from studies.reports.figure_1 import figure_of_losses

        import_backend()
        found["losses"] = figure_of_losses()
    for name, figure in found.items():
        for suffix in _FORMATS:
            save_plot(figure, folder / f"{name}{suffix}", dpi=120)


def sizes(part: Part, runs: Runs) -> "Figure | None":
    """Plot the accuracy by samples per class, a curve per loss, a panel per protocol."""
    panels = {
        _title(part, protocol): {
            TITLES[loss]: _by_size(part, loss, protocol, runs) for loss in part.losses
        }
        for protocol in PROTOCOLS
    }
    panels = {title: found for title, found in panels.items() if max(map(len, found.values())) > 1}
    looks = {TITLES[loss]: _LOOKS[loss] for loss in part.losses}
    return means(panels, "training samples per class", looks) if panels else None


def _title(part: Part, protocol: str) -> str:
    fixed = all(len(part.rates_of(loss)) == 1 for loss in part.losses)
    if fixed or (protocol == PAPER and part.paper_rates):
        return f"Test accuracy {_PANELS[protocol]}"
    chooses = protocol if protocol in part.search.protocols else VALIDATION
    return f"Test accuracy {_PANELS[protocol]}, {_CHOSEN[chooses]}"


def _by_size(part: Part, loss: str, protocol: str, runs: Runs) -> dict[float, tuple[float, ...]]:
    found = {}
    for dataset in part.datasets:
        size = parse_name(dataset).per_class or part.full_size
        values = outcome(part, (dataset, loss), protocol, runs).values
        if size and values:
            found[size] = values
    return found


def curves(part: Part, runs: Runs) -> "Figure | None":
    """Plot the accuracy on training and test samples by epoch, at the paper's choice of rate.

    If the part compares losses, there is a panel for each pair: more lines are hard to read.
    """
    if len(part.datasets) > 1:
        return None
    found = first_runs(part, runs)
    first, *others = part.compared or ("",)
    pairs = [(first, other) for other in others if {first, other} <= found.keys()]
    panels = pairs or ([] if part.compared or not found else [tuple(found)])
    if not panels:
        return None
    figure = new_figure(len(panels))
    axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for axis, losses in zip(axes, panels, strict=True):
        title = f"{part.datasets[0]}: accuracy while training, seed {part.seeds[0]}"
        draw_curves(axis, {loss: found[loss] for loss in losses}, title)
    return figure


def draw_curves(panel: "Axes", runs: Mapping[str, Run], title: str) -> None:
    """Draw the accuracy on training and test samples by epoch.

    Args:
        panel: axes to draw on.
        runs: runs by loss.
        title: title above the panel.
    """
    for loss, run in runs.items():
        for curve, on, line in (
            (run.judged_curve, "test", "-"),
            (run.training_curve, "training", ":"),
        ):
            points = [(i, 100 * v) for i, v in enumerate(curve, start=1) if v is not None]
            looks = _LOOKS[loss] | {"linestyle": line, "markevery": max(len(points) // 8, 1)}
            panel.plot(*zip(*points, strict=True), label=f"{TITLES[loss]}: {on}", **looks)
    finish(panel, "epoch", title)
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


def roc(part: Part, runs: Runs) -> "Figure | None":
    """Plot the ROC curves of all evaluated networks, a panel per data set."""
    found = {
        cell: [metrics["roc"] for metrics in own_metrics(part, cell, runs).values()]
        for cell in (part.cells() if part.evaluation else ())
    }
    if not any(found.values()):
        return None
    figure = new_figure(len(part.datasets))
    axes = figure.subplots(1, len(part.datasets), squeeze=False)[0]
    for panel, dataset in zip(axes, part.datasets, strict=True):
        for loss in part.losses:
            for i, curve in enumerate(found[dataset, loss]):
                points = [(100 * float(x), 100 * y) for x, y in curve.items()]
                looks = _LOOKS[loss] | {"label": f"_{i}" if i else TITLES[loss], "markevery": 5}
                panel.plot(*zip(*points, strict=True), **looks)
        finish(panel, "false positive rate, percent", dataset)
        panel.set_ylabel("true positive rate, percent")
    axes[0].legend(frameon=False, fontsize="small")
    return figure


def features(part: Part, runs: Runs) -> "Figure | None":
    """Plot the features of samples of the evaluated networks, a panel per loss, first seed."""
    found = {loss: run.evaluation for loss, run in first_runs(part, runs).items()}
    found = {loss: rows for loss, rows in found.items() if rows and "points" in rows[0]}
    if not found:
        return None
    drawn = [from_rows(rows) for rows in found.values()]
    planes, labels, known = zip(*drawn, strict=True)
    names = [row["class"] for row in next(iter(found.values()))]
    titles = [TITLES[loss] for loss in found]
    return figure_of_features(planes, titles, labels[0], known, names)


_DRAWN = {"features": features, "sizes": sizes, "curves": curves, "roc": roc}
