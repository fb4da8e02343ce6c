"""Retrieval metrics as tables for the screen and as rows of a CSV file."""

from collections.abc import Iterator, Mapping, Sequence

from evaluation.retrieval.metrics import Retrieval, area
from evaluation.tables import aligned

HEADER = ("model", "similarity", "measure", "k", "value")
"""Columns of the CSV file, which has one metric per row."""

_SAME_CLASS = "Same class"


def tables(
    retrievals: Mapping[str, Retrieval], ks: Sequence[int], clip_ahp: int | None = None
) -> list[str]:
    """Return aligned lines: a table per similarity and one of mAP, with one row per model.

    There is a column HP@k for each of ``ks``, and AHP@K for ``clip_ahp``.
    """
    lines = []
    for similarity in next(iter(retrievals.values())).precision:
        curves = {name: r.precision[similarity] for name, r in retrievals.items()}
        header = [similarity, "AHP", *([f"AHP@{clip_ahp}"] if clip_ahp else [])]
        cells = [
            [name, *(f"{area(curve, k):.4f}" for k in _areas(curve, clip_ahp))]
            + [f"{curve[k - 1]:.4f}" for k in ks]
            for name, curve in curves.items()
        ]
        lines += [*aligned([*header, *(f"HP@{k}" for k in ks)], cells), ""]
    cells = [[name, f"{r.mean_average_precision:.4f}"] for name, r in retrievals.items()]
    return lines + aligned([_SAME_CLASS, "mAP"], cells)


def rows(
    retrievals: Mapping[str, Retrieval], max_k: int, clip_ahp: int | None = None
) -> Iterator[tuple]:
    """Yield rows of ``HEADER``: mAP, AHP, AHP@clip_ahp and HP@1 … HP@max_k of each model.

    The k of the full AHP is the number of images that each query ranks.
    """
    for name, retrieval in retrievals.items():
        yield name, _SAME_CLASS, "mAP", None, retrieval.mean_average_precision
        for similarity, curve in retrieval.precision.items():
            for k in _areas(curve, clip_ahp):
                yield name, similarity, "AHP", k, area(curve, k)
            for k, value in enumerate(curve[:max_k].tolist(), start=1):
                yield name, similarity, "HP", k, value


def _areas(curve: Sequence[float], clip_ahp: int | None) -> list[int]:
    """Return the ranks up to which the area under a curve is measured."""
    return [len(curve), *([clip_ahp] if clip_ahp else [])]
