"""Metrics of open-set recognition: known classes told apart, images of unknown ones refused.

A score says how well an image fits the classes that the model knows; an image is accepted if its
score reaches a cut-off. Of these shares, every metric is a function:

    TPR = accepted images of known classes / all of these
    FPR = accepted images of unknown classes / all of these
    CCR = accepted images of known classes that are classified correctly / all of known classes

``Curve.exact`` takes every distinct score as cut-off, so that equal scores count as one half.
``Curve.published`` does as the code of the published splits (Chen et al., "Adversarial reciprocal
points learning for open set recognition", TPAMI 2021): every image is a cut-off of its own, and of
equal scores those of known classes are refused first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

_TPR = 0.95


@dataclass(frozen=True, eq=False)
class Curve:
    """Numbers of accepted images by ascending cut-off, from all to none."""

    known: np.ndarray  # int (cut-offs,), of known classes
    correct: np.ndarray  # int (cut-offs,), of these, the correctly classified ones
    unknown: np.ndarray  # int (cut-offs,), of unknown classes

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
            unknown_first: whether, of equal scores, those of unknown classes are refused first.
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
    """Return all scores, ascending, and how many images are left after refusing the first few.

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
    """Return the number of True from each position on, and 0 at the end."""
    return np.append(np.cumsum(refused[::-1])[::-1], 0)


def auroc(curve: Curve) -> float:
    """Return the area under TPR over FPR.

    On the exact curve this is the probability that a known image has a larger score than an
    unknown one, where equal scores count one half.
    """
    return _area(curve.tpr, curve.fpr)


def oscr(curve: Curve) -> float:
    """Return the area under CCR over FPR (Dhamija et al., "Reducing network agnostophobia", 2018).

    At most the accuracy, which it reaches where no unknown image fits better than a known one.
    """
    return _area(curve.ccr, curve.fpr)


def published_oscr(known: np.ndarray, correct: np.ndarray, unknown: np.ndarray) -> float:
    """Return OSCR as the code of the published splits computes it; arguments as for the curves.

    It pairs the FPR of a cut-off with the CCR of the next one, and leaves the last one out. The
    order of equal scores is left to an unstable sort there, and differs between processors: here
    the result is the mean over both orders of known and unknown.
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
    """Return the area under precision over recall of known images.

    As published, half of all images are known where all are accepted, and precision ends at 0.
    """
    accepted = curve.known + curve.unknown
    precision = curve.known[:-1] / accepted[:-1]
    return _area(np.r_[0.5, precision, 0.0], np.r_[1.0, curve.tpr[:-1], 0.0])


def auout(curve: Curve) -> float:
    """Return the area under precision over recall of refused unknown images.

    As published, precision begins at 0, and half of all images are unknown where all are refused.
    """
    refused_unknown = curve.unknown[0] - curve.unknown[1:]
    refused = curve.known[0] - curve.known[1:] + refused_unknown
    recall = refused_unknown / curve.unknown[0]
    precision = np.r_[0.0, refused_unknown / refused, 0.5]
    return float(np.trapezoid(precision, np.r_[0.0, recall, 1.0]))


def _area(heights: np.ndarray, descending: np.ndarray) -> float:
    """Return the area by trapezoids over places from the largest to the smallest."""
    return float(np.trapezoid(heights[::-1], descending[::-1]))


def evaluate(
    known: np.ndarray, correct: np.ndarray, unknown: np.ndarray, fprs: Sequence[float] = ()
) -> dict[str, float]:
    """Return every metric by name, each in [0, 1].

    Args:
        known: see ``Curve.exact``.
        correct: likewise.
        unknown: likewise.
        fprs: FPR at which CCR is wanted.
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
