"""Accuracy by a decision rule, as Keras metrics."""

import keras
import numpy as np
from keras import KerasTensor, ops

from models.decisions import DECISIONS


class ClassAccuracy(keras.metrics.MeanMetricWrapper):
    """The share of samples whose class is among the k with the largest scores.

    Args:
        class_vectors: array (classes, dimensions), the target of each class. A sample's true class
            is the one with the nearest vector to its target.
        decision: name of the rule in ``DECISIONS``.
        k: how many classes may be named.
        name: name of the metric in logs.

    Attributes:
        hits: function of targets and predictions: bool (batch,), whether each sample is one.
    """

    def __init__(self, class_vectors: np.ndarray, decision: str, k: int = 1, name: str = "acc"):
        class_vectors = np.asarray(class_vectors, dtype=np.float32)

        def hits(targets: KerasTensor, predictions: KerasTensor) -> KerasTensor:
            truth = ops.argmax(DECISIONS["distance"].scores(targets, class_vectors), axis=-1)
            scores = DECISIONS[decision].scores(predictions, class_vectors)
            if k == 1:
                return ops.equal(truth, ops.argmax(scores, axis=-1))
            return ops.in_top_k(truth, scores, min(k, len(class_vectors)))

        self.hits = hits
        super().__init__(hits, name=name, dtype="float32")


def accuracy_metrics(
    class_vectors: np.ndarray, decision: str, top_k: tuple[int, ...] = ()
) -> list[ClassAccuracy]:
    """``acc`` and, for every k, ``acc<k>``."""
    names = {1: "acc"} | {k: f"acc{k}" for k in top_k if k > 1}
    return [ClassAccuracy(class_vectors, decision, k, name) for k, name in names.items()]
