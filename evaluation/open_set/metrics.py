"""Metrics of open-set recognition: classify images of known classes, reject those of unknown ones.

A score says how well an image fits the classes that the model knows; an image is accepted if its
score reaches a cut-off. Every metric is a function of these rates:

    TPR = accepted images of known classes / all images of known classes
    FPR = accepted images of unknown classes / all images of unknown classes
    CCR = accepted, correctly classified images of known classes / all images of known classes

``Curve.exact`` uses every distinct score as a cut-off, so that ties count as one half.
``Curve.published`` follows the code of the published splits (Chen et al., "Adversarial reciprocal
points learning for open set recognition", TPAMI 2021): every image is a cut-off of its own, and of
equal scores, those of known classes are rejected first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

_TPR = 0.95


@dataclass(frozen=True, eq=False)
class Curve:
    """Numbers of accepted images by ascending cut-off, from all to none."""

    known: np.ndarray  # int (cut-offs,), images of known classes
    correct: np.ndarray  # int (cut-offs,), the correctly classified among these
    unknown: np.ndarray  # int (cut-offs,), images of unknown classes

    @classmethod
    def exact(cls, known: np.ndarray, correct: np.ndarray, unknown: np.ndarray) -> Self:
        """Return the curve over all distinct scores.

        Args:
            known: scores of images of known classes, (images,), finite, at least one.
            correct: bool (images,), whether they are classified correctly.
            unknown: scores of images of unknown classes, (others,), finite, at least one.
        """
        scores, *counts = _accepted(known, correct, unknown)
        rises = np.flatnonzero(np.diff(scores)) + 1
        cut_offs = np.concatenate([[0], rises, [len(scores)]])
        return cls(*(count[cut_offs] for count in counts))

    @classmethod
    def published(
        cls,
        known: np.ndarray,
        correct: np.ndarray,
        unknown: np.ndarray,
        unknown_first: bool = False,
    ) -> Self:
        """Return the curve with one cut-off per image; arguments as for ``exact``.

        Args:
            unknown_first: whether, of equal scores, those of unknown classes are rejected first.
        """
        _, *counts = _accepted(known, correct, unknown, unknown_first)
        return cls(*counts)

    @property
    def tpr(self) -> np.ndarray:
        """TPR at each cut-off, descending from 1 to 0."""
        return self.known / self.known[0]

    @property
    def fpr(self) -> np.ndarray:
        """FPR at each cut-off, descending from 1 to 0."""
        return self.unknown / self.unknown[0]

    @property
    def ccr(self) -> np.ndarray:
        """CCR at each cut-off, descending from the accuracy to 0."""
        return self.correct / self.known[0]


def _accepted(
    known: np.ndarray, correct: np.ndarray, unknown: np.ndarray, unknown_first: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return all scores, ascending, and the numbers of images left after rejecting 0, 1, 2 …

    Args:
        known: see ``Curve.exact``.
        correct: likewise.
        unknown: likewise.
        unknown_first: see ``Curve.published``.

    Returns:
        Scores, (images,); counts of known, correct and unknown images, each (images + 1,).
    """
    scores = np.concatenate([known, unknown])
    is_unknown = np.arange(len(scores)) >= len(known)
    order = np.lexsort((is_unknown != unknown_first, scores))
    is_correct = np.concatenate([correct, np.zeros(len(unknown), bool)])
    kinds = (~is_unknown, is_correct, is_unknown)
    return scores[order], *(_left(kind[order]) for kind in kinds)


def _left(refused: np.ndarray) -> np.ndarray:
    """Return the number of True values from each position on, and 0 at the end."""
    return np.append(np.cumsum(refused[::-1])[::-1], 0)


def auroc(curve: Curve) -> float:
    """Return the area under the ROC curve, TPR over FPR.

    On the exact curve, this is the probability that an image of a known class has a larger score
    than one of an unknown class, where ties count as one half.
    """
    return _area(curve.tpr, curve.fpr)


def oscr(curve: Curve) -> float:
    """Return the area under CCR over FPR (Dhamija et al., "Reducing network agnostophobia", 2018).

    It is at most the accuracy, which it reaches if all images of known classes score higher than
    those of unknown ones.
    """
    return _area(curve.ccr, curve.fpr)


def published_oscr(known: np.ndarray, correct: np.ndarray, unknown: np.ndarray) -> float:
    """Return OSCR as the code of the published splits computes it; arguments as for ``Curve``.

    It pairs the FPR of a cut-off with the CCR of the next one, and omits the last one. That code
    leaves the order of ties to an unstable sort, which differs between processors; the result here
    is the mean over both orders of known and unknown classes.
    """
    areas = []
    for unknown_first in (False, True):
        curve = Curve.published(known, correct, unknown, unknown_first)
        fpr, ccr = curve.fpr[:-2], curve.ccr[1:-1]
        areas.append(_area(np.append(ccr, 0.0), np.append(fpr, 0.0)))
    return sum(areas) / 2


def ccr_at_fpr(curve: Curve, fpr: float) -> float:
    """Return the largest CCR where FPR is at most ``fpr`` (Dhamija et al. 2018)."""
    return float(curve.ccr[np.argmax(curve.fpr <= fpr)])


def tnr_at_tpr95(curve: Curve) -> float:
    """Return 1 - FPR where TPR comes closest to 0.95, at the lowest such cut-off."""
    return float(1 - curve.fpr[np.argmin(np.abs(curve.tpr - _TPR))])


def detection_accuracy(curve: Curve) -> float:
    """Return the best accuracy of detecting unknown images, with both kinds weighted equally."""
    return float((curve.tpr + 1 - curve.fpr).max() / 2)


def auin(curve: Curve) -> float:
    """Return the area under the precision-recall curve of accepted images of known classes.

    As published, precision is 0.5 where all images are accepted, and 0 where none are.
    """
    accepted = curve.known + curve.unknown
    precision = curve.known[:-1] / accepted[:-1]
    return _area(np.r_[0.5, precision, 0.0], np.r_[1.0, curve.tpr[:-1], 0.0])


def auout(curve: Curve) -> float:
    """Return the area under the precision-recall curve of rejected images of unknown classes.

    As published, precision is 0 where no images are rejected, and 0.5 where all are.
    """
    refused_unknown = curve.unknown[0] - curve.unknown[1:]
    refused = curve.known[0] - curve.known[1:] + refused_unknown
    recall = refused_unknown / curve.unknown[0]
    precision = np.r_[0.0, refused_unknown / refused, 0.5]
    return float(np.trapezoid(precision, np.r_[0.0, recall, 1.0]))


def _area(heights: np.ndarray, descending: np.ndarray) -> float:
    """Integrate over descending x by the trapezoidal rule."""
    return float(np.trapezoid(heights[::-1], descending[::-1]))


def evaluate(
    known: np.ndarray, correct: np.ndarray, unknown: np.ndarray, fprs: Sequence[float] = ()
) -> dict[str, float]:
    """Return every metric by name, each in [0, 1].

    Args:
        known: see ``Curve.exact``.
        correct: likewise.
        unknown: likewise.
        fprs: FPRs at which to compute CCR.
    """
    exact = Curve.exact(known, correct, unknown)
    published = Curve.published(known, correct, unknown)
    return {
        "accuracy": float(np.mean(correct)),
        "auroc": auroc(exact),
        "oscr": oscr(exact),
        **{f"ccr_at_fpr_{fpr:g}": ccr_at_fpr(exact, fpr) for fpr in fprs},
        "tnr_at_tpr95": tnr_at_tpr95(published),
        "detection_accuracy": detection_accuracy(published),
        "auin": auin(published),
        "auout": auout(published),
        "auroc_published": auroc(published),
        "oscr_published": published_oscr(known, correct, unknown),
    }
