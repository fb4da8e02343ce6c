"""Accuracy under a decision rule, as Keras metrics."""

import math

import keras
import numpy as np
from keras import KerasTensor, ops

from models.decisions import DECISIONS


class ClassAccuracy(keras.metrics.MeanMetricWrapper):
    """Top-k accuracy: the share of samples whose class is among the k with the largest scores.

    Ties go to the first class, like in ``argmax``. Labels are class positions, (batch,). The
    accuracy is NaN once a prediction or a score is not finite.

    Args:
        class_vectors: the target of each class, (classes, dimensions).
        decision: how scores follow from predictions, a key of ``DECISIONS``.
        k: number of top classes that count as correct.
        name: name of the metric in logs.
    """

    prefix = ""  # of the name in logs, see ``accuracy_metrics``

    def __init__(self, class_vectors: np.ndarray, decision: str, k: int = 1, name: str = "acc"):
        class_vectors = np.asarray(class_vectors, dtype=np.float32)

        def hits(labels: KerasTensor, predictions: KerasTensor) -> KerasTensor:
            scores = DECISIONS[decision].scores(predictions, class_vectors)
            finite = ops.logical_and(_are_finite(predictions), _are_finite(scores))
            return ops.where(finite, self._hits(labels, scores, k), math.nan)

        super().__init__(hits, name=name, dtype="float32")

    def _hits(self, labels: KerasTensor, scores: KerasTensor, k: int) -> KerasTensor:
        return ops.cast(_among_largest(scores, class_positions(labels), k), "float32")


class KnownAccuracy(ClassAccuracy):
    """Top-k accuracy that ignores the background images of a batch."""

    def update_state(
        self,
        y_true: KerasTensor,
        y_pred: KerasTensor,
        sample_weight: KerasTensor | None = None,
    ) -> None:
        known = ops.cast(class_positions(y_true) >= 0, "float32")
        super().update_state(y_true, y_pred, sample_weight=known)


class MixedAccuracy(ClassAccuracy):
    """Top-k accuracy for mixed images, with labels of shape (batch, 3).

    Each of an image's two classes counts with its share. Even a network that always predicts the
    class with the larger share stays below 1, and the value says little about unmixed images.
    """

    prefix = "mixed_"

    def _hits(self, labels: KerasTensor, scores: KerasTensor, k: int) -> KerasTensor:
        first, second, share = mixed_labels(labels)
        hits = (super(MixedAccuracy, self)._hits(each, scores, k) for each in (first, second))
        return between(*hits, share)


def mixed_labels(labels: KerasTensor) -> tuple[KerasTensor, KerasTensor, KerasTensor]:
    """Return both class positions and the share of the second, all float32 (batch,)."""
    labels = ops.cast(labels, "float32")
    return labels[:, 0], labels[:, 1], labels[:, 2]


def between(first: KerasTensor, second: KerasTensor, share: KerasTensor) -> KerasTensor:
    """Return (1 - share) * first + share * second."""
    return (1 - share) * first + share * second


def class_positions(labels: KerasTensor) -> KerasTensor:
    """Convert labels as Keras passes them to losses, (batch,) or (batch, 1), to int32 (batch,)."""
    return ops.cast(ops.reshape(labels, (-1,)), "int32")


def _are_finite(values: KerasTensor) -> KerasTensor:
    return ops.all(ops.isfinite(values), axis=-1)


def _among_largest(scores: KerasTensor, positions: KerasTensor, k: int) -> KerasTensor:
    if k == 1:
        return ops.equal(positions, ops.cast(ops.argmax(scores, axis=-1), "int32"))
    positions = ops.expand_dims(positions, axis=-1)
    true = ops.take_along_axis(scores, positions, axis=-1)
    earlier = ops.arange(scores.shape[-1], dtype="int32") < positions
    ahead = ops.logical_or(scores > true, ops.logical_and(ops.equal(scores, true), earlier))
    rank = ops.sum(ops.cast(ahead, "int32"), axis=-1)
    return rank < k


def accuracy_metrics(
    class_vectors: np.ndarray,
    decision: str,
    top_k: tuple[int, ...] = (),
    kind: type[ClassAccuracy] = ClassAccuracy,
) -> list[ClassAccuracy]:
    """Return metrics ``acc`` and, for every k > 1, ``acc<k>``, with the prefix of ``kind``."""
    names = {1: "acc"} | {k: f"acc{k}" for k in top_k if k > 1}
    return [kind(class_vectors, decision, k, kind.prefix + name) for k, name in names.items()]
