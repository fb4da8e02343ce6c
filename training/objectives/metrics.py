"""Accuracy by a decision rule, as Keras metrics."""

import math

import keras
import numpy as np
from keras import KerasTensor, ops

from models.decisions import DECISIONS


class ClassAccuracy(keras.metrics.MeanMetricWrapper):
    """The share of samples whose class is among the k with the largest scores.

    Of classes with equal scores the first counts as larger, as for ``argmax``. Labels are class
    positions, (batch,). The accuracy is NaN once a prediction or a score is not finite.

    Args:
        class_vectors: array (classes, dimensions), the target of each class.
        decision: how predictions classify, a key of ``DECISIONS``.
        k: how many classes may be named.
        name: name of the metric in logs.
    """

    prefix = ""  # of the name in logs, by ``accuracy_metrics``

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
    """The same of batches with background images, which do not count."""

    def update_state(
        self,
        y_true: KerasTensor,
        y_pred: KerasTensor,
        sample_weight: KerasTensor | None = None,
    ) -> None:
        known = ops.cast(class_positions(y_true) >= 0, "float32")
        super().update_state(y_true, y_pred, sample_weight=known)


class MixedAccuracy(ClassAccuracy):
    """The share of the label that belongs to one of these classes, of mixed labels, (batch, 3).

    Both classes of an image count with their share in it. A network that names the larger part of
    every image does not reach 1, and this says little about images that are not mixed.
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
    """Return the sum of both, weighted by 1 - share and share."""
    return (1 - share) * first + share * second


def class_positions(labels: KerasTensor) -> KerasTensor:
    """Return labels as Keras hands them to losses, floats (batch,) or (batch, 1), as int32."""
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
    """Return ``acc`` and, for every k, ``acc<k>``, behind the prefix of their kind."""
    names = {1: "acc"} | {k: f"acc{k}" for k in top_k if k > 1}
    return [kind(class_vectors, decision, k, kind.prefix + name) for k, name in names.items()]
