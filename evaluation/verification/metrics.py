"""Metrics of verification by the distance of two feature vectors.

Two images count as the same person if the squared Euclidean distance of their features, scaled to
unit length, is below a threshold. Candidate thresholds are those of the code published with ArcFace
(``deepinsight/insightface``). They are chosen on all folds but the one that is evaluated, following
the protocol of Labeled Faces in the Wild (Huang et al. 2007).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from utils import UsageError, UserError

_LARGEST = 4  # squared distance of unit vectors
_STEP, _FINE_STEP = 0.01, 0.001


@dataclass(frozen=True, eq=False)
class Folds:
    """Distances of pairs, by fold."""

    same: Sequence[np.ndarray]  # float (pairs,) of each fold, for the same person, ascending
    different: Sequence[np.ndarray]  # likewise, for different people

    @classmethod
    def divide(cls, distances: np.ndarray, same: np.ndarray, count: int) -> Self:
        """Divide pairs into folds of consecutive pairs; the first folds may have one pair more.

        Args:
            distances: (pairs,), non-negative.
            same: bool (pairs,), whether both are the same person.
            count: number of folds.

        Raises:
            UsageError: there are fewer than two folds.
            UserError: a fold has no pairs of one kind.
        """
        if count < 2:
            raise UsageError(
                f"{count} folds are too few: the threshold of a fold comes from the others"
            )
        folds = cls([], [])
        for number, members in enumerate(np.array_split(np.arange(len(same)), count), start=1):
            for kind, wanted, found in (
                ("the same person", True, folds.same),
                ("different people", False, folds.different),
            ):
                chosen = members[same[members] == wanted]
                if not len(chosen):
                    raise UserError(f"fold {number} of {count} has no pairs of {kind}")
                found.append(np.sort(distances[chosen]))
        return folds

    def accepted(self, thresholds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the numbers of same and different pairs below each threshold.

        Both are int (folds, thresholds).
        """
        kinds = (self.same, self.different)
        return tuple(np.array([np.searchsorted(d, thresholds) for d in kind]) for kind in kinds)

    def sizes(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the numbers of same and different pairs, both int (folds,)."""
        return tuple(np.array([len(d) for d in kind]) for kind in (self.same, self.different))


def distances(features: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return squared distances of features scaled to unit length; zero vectors stay zero.

    Args:
        features: (images, dimensions), finite.
        first: int (pairs,), positions of images.
        second: likewise.
    """
    features = np.asarray(features, np.float64)
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    unit = features / np.where(lengths > 0, lengths, 1)
    return np.square(unit[first] - unit[second]).sum(axis=1)


def fold_accuracies(folds: Folds) -> tuple[np.ndarray, np.ndarray]:
    """Return the accuracy in each fold at the threshold that is best on the others, and this.

    Thresholds are 0, 0.01, … 3.99; of equally good ones, the first is taken.
    """
    thresholds = np.arange(0, _LARGEST, _STEP)
    same, different = folds.accepted(thresholds)
    sizes = folds.sizes()
    hits = same + sizes[1][:, np.newaxis] - different
    best = (hits.sum(axis=0) - hits).argmax(axis=1)
    return hits[np.arange(len(hits)), best] / sum(sizes), thresholds[best]


def tar_at_far(folds: Folds, far: float) -> np.ndarray:
    """Return the TAR in each fold at the threshold where the others have a FAR of ``far``.

    TAR is the share of accepted pairs of the same person, FAR that of different people. The
    threshold is interpolated linearly between 0, 0.001, … 3.999, and 0 if the other folds never
    reach ``far``.
    """
    thresholds = np.arange(0, _LARGEST, _FINE_STEP)
    _, different = folds.accepted(thresholds)
    sizes = folds.sizes()
    rates = (different.sum(axis=0) - different) / (sizes[1].sum() - sizes[1])[:, np.newaxis]
    chosen = [np.interp(far, rate, thresholds) if rate[-1] >= far else 0.0 for rate in rates]
    found = zip(folds.same, chosen, strict=True)
    return np.array([np.searchsorted(d, threshold) / len(d) for d, threshold in found])
