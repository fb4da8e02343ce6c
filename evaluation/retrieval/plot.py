"""Plot of hierarchical precision over the number of retrieved images."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from evaluation.plots import add_legend, line_styles
from evaluation.retrieval.metrics import Retrieval
from storage.plots import save_plot

_POINTS = 2000  # points per curve; more would not be visible


def write_plot(path: Path, retrievals: Mapping[str, Retrieval], max_k: int) -> None:
    """Plot HP@1 … HP@max_k, one panel per similarity and one curve per model.

    The suffix of the file selects the format; the keys of ``retrievals`` are names of models.
    """
    from matplotlib.figure import Figure

    similarities = list(next(iter(retrievals.values())).precision)
    figure = Figure(figsize=(4.6 * len(similarities), 3.8), layout="constrained")
    panels = figure.subplots(1, len(similarities), squeeze=False)[0]
    for panel, similarity in zip(panels, similarities, strict=True):
        _draw(panel, similarity, retrievals, max_k)
    panels[0].set_ylabel("hierarchical precision, mean over queries")
    add_legend(panels[0], panels[0].get_lines(), list(retrievals))
    save_plot(figure, path, dpi=150)


def _draw(panel, similarity: str, retrievals: Mapping[str, Retrieval], max_k: int) -> None:
    ks = np.unique(np.linspace(1, max_k, min(max_k, _POINTS)).astype(int))
    for retrieval, style in zip(retrievals.values(), line_styles(), strict=False):
        values = retrieval.precision[similarity][ks - 1]
        marker = "o" if len(ks) == 1 else None
        panel.plot(ks, values, **style, marker=marker)
    panel.set_title(similarity)
    panel.set_xlabel("number of retrieved images k")
    panel.grid(alpha=0.3)
    panel.spines[["top", "right"]].set_visible(False)
