"""Results of verification: a table for the screen, rows of a CSV file, ROC curves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evaluation.plots import Panel, Rates, sampled, write_rate_plot
from evaluation.tables import aligned, write_csv
from evaluation.verification.metrics import Folds, distances, fold_accuracies, tar_at_far
from evaluation.verification.pairs import Pairs

_HEADER = ("model", "measure", "far", "fold", "value")


@dataclass(frozen=True, eq=False)
class Verification:
    """Verification results of the features of one model."""

    pairs: int  # number of pairs
    accuracies: np.ndarray  # accuracy in [0, 1], (folds,)
    thresholds: np.ndarray  # threshold on squared distances, (folds,)
    tars: dict[float, np.ndarray]  # TAR in [0, 1], (folds,), by the FAR of the other folds
    roc: Rates  # FAR and TAR over all pairs, by threshold, descending
    auc: float  # area under that curve


def verify(
    features: np.ndarray, pairs: Pairs, folds: int, fars: Sequence[float] = ()
) -> Verification:
    """Evaluate the features of paired images.

    Args:
        features: (images, dimensions), finite.
        pairs: pairs of these images.
        folds: number of folds of consecutive pairs.
        fars: FARs at which to compute TAR.

    Raises:
        UsageError: there are fewer than two folds.
        UserError: a fold has no pairs of one kind.
    """
    from sklearn.metrics import auc, roc_curve

    found = distances(features, pairs.first, pairs.second)
    divided = Folds.divide(found, pairs.same, folds)
    far, tar, _ = roc_curve(pairs.same, -found, drop_intermediate=False)
    return Verification(
        len(found),
        *fold_accuracies(divided),
        {wanted: tar_at_far(divided, wanted) for wanted in fars},
        (far[::-1], tar[::-1]),
        float(auc(far, tar)),
    )


def table(found: Mapping[str, Verification]) -> list[str]:
    """Return aligned lines, one per model: mean ± standard deviation over folds, in percent."""
    fars = next(iter(found.values())).tars
    header = ["model", "accuracy", *(f"TAR@FAR={far:g}" for far in fars), "AUC", "threshold"]
    rows = [
        [
            name,
            *map(_mean_and_deviation, (one.accuracies, *one.tars.values())),
            f"{100 * one.auc:.2f}",
            f"{one.thresholds.mean():.3f}",
        ]
        for name, one in found.items()
    ]
    return aligned(header, rows)


def _mean_and_deviation(values: np.ndarray) -> str:
    """Return percent, with the population's standard deviation (n), as published."""
    return f"{100 * values.mean():.2f} ± {100 * values.std():.2f}"


def summary(found: Mapping[str, Verification]) -> list[dict[str, object]]:
    """Return means over folds by model, with some points of the ROC curve, for records."""
    return [
        {
            "model": name,
            "pairs": one.pairs,
            "accuracy": float(one.accuracies.mean()),
            "auc": one.auc,
            **{f"tar_at_far_{far:g}": float(tars.mean()) for far, tars in one.tars.items()},
            "roc": sampled(one.roc),
        }
        for name, one in found.items()
    ]


def write(path: Path, found: Mapping[str, Verification]) -> None:
    """Write all metrics of every fold, one per row, and the area under ROC.

    Raises:
        UserError: the file cannot be written.
    """
    rows = []
    for name, one in found.items():
        rows.append((name, "AUC", None, None, one.auc))
        columns = [("accuracy", None, one.accuracies), ("threshold", None, one.thresholds)]
        columns += [("TAR", far, tars) for far, tars in one.tars.items()]
        for measure, far, values in columns:
            for fold, value in enumerate(values.tolist(), start=1):
                rows.append((name, measure, far, fold, value))
    write_csv(path, _HEADER, rows)


def plot(path: Path, found: Mapping[str, Verification]) -> None:
    """Draw the ROC curves, FAR on a logarithmic scale.

    Raises:
        UserError: the file cannot be written.
    """
    curves = {name: one.roc for name, one in found.items()}
    across, up = "FAR: accepted pairs of different people", "TAR: accepted pairs of one person"
    write_rate_plot(path, [Panel("ROC over all pairs", across, up, curves, log=True)])
