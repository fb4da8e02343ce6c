"""How a network's output classifies: the rules that turn it into one score per class."""

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
from keras import KerasTensor, layers, ops

PROBABILITY = "probability"
COSINE = "cosine similarity"
DOT = "dot product"
DISTANCE = "negative squared distance"


@dataclass(frozen=True)
class Decision:
    """A rule: the class with the largest score wins, the first of several.

    Attributes:
        kind: what the scores of ``complete_scores`` are.
        affine: function of class vectors, float32 (classes, dimensions), that returns the kernel
            (dimensions, classes) and the bias (classes,) of the scores; None: the outputs are the
            scores.
        less_squared_norm: whether ``scores`` leave out -||p||² of each output p, which is the same
            for every class.
        comparison: how the rule compares, for tables.
    """

    kind: str
    affine: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]] | None = None
    less_squared_norm: bool = False
    comparison: str = ""

    @property
    def compares(self) -> bool:
        """Whether it compares outputs with class vectors."""
        return self.affine is not None

    def scores(self, outputs: KerasTensor, class_vectors: np.ndarray | None) -> KerasTensor:
        """Return the scores that decide, (samples, classes).

        Args:
            outputs: (samples, dimensions).
            class_vectors: (classes, dimensions), or None where the outputs are the scores.
        """
        if self.affine is None:
            return outputs
        kernel, bias = self.affine(class_vectors)
        return ops.matmul(outputs, kernel) + bias

    def offset(self, outputs: np.ndarray) -> np.ndarray:
        """Return what ``scores`` leave out, (samples, 1)."""
        if not self.less_squared_norm:
            return np.zeros((len(outputs), 1), np.float32)
        return -np.square(outputs).sum(axis=1, keepdims=True)

    def score_tensor(self, tensor: KerasTensor, class_vectors: np.ndarray | None) -> KerasTensor:
        """Return scores and offset together, as plain layers that every export format can hold."""
        if self.affine is None:
            return tensor
        kernel, bias = self.affine(np.asarray(class_vectors, np.float32))
        dense = layers.Dense(len(bias), dtype="float32", name="class_scores")
        dense.build((None, len(kernel)))
        dense.set_weights([kernel, bias])
        if not self.less_squared_norm:
            return dense(tensor)
        return ops.subtract(dense(tensor), ops.sum(ops.square(tensor), axis=1, keepdims=True))

    def score_kind(self, layer: keras.Layer, class_vectors: np.ndarray | None) -> str:
        """Return what the scores with their offset are, given the layer that puts out p."""
        if self.affine is None and is_softmax(layer):
            return PROBABILITY
        unit = isinstance(layer, layers.UnitNormalization) and _are_unit_vectors(class_vectors)
        return COSINE if self.kind == DOT and unit else self.kind


def _dot(class_vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return class_vectors.T, np.zeros(len(class_vectors), np.float32)


def _distance(class_vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """-||p - c||² = 2 p·c - ||c||² - ||p||²."""
    return 2 * class_vectors.T, -np.square(class_vectors).sum(axis=1)


def _largest(class_vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Output k is the score of all classes whose vectors have their largest element there."""
    kernel = np.eye(class_vectors.shape[1], dtype=np.float32)[:, class_vectors.argmax(axis=1)]
    return kernel, np.zeros(len(class_vectors), np.float32)


def is_softmax(layer: keras.Layer) -> bool:
    """Tell whether a layer puts out probabilities."""
    activation = getattr(layer, "activation", None)
    return isinstance(layer, layers.Softmax) or activation is keras.activations.softmax


def _are_unit_vectors(class_vectors: np.ndarray | None) -> bool:
    """Whether class vectors have unit length; None stands for one-hot vectors, which have."""
    if class_vectors is None:
        return True
    return bool(np.allclose(np.linalg.norm(class_vectors, axis=1), 1, atol=1e-5))


DECISIONS = {
    "output": Decision(DOT),  # each output stands for one class: softmax, one-hot embeddings
    "largest": Decision(DOT, _largest),  # by arg-max of the output and of the class vectors
    "dot": Decision(DOT, _dot, comparison="dot"),
    "distance": Decision(DISTANCE, _distance, less_squared_norm=True, comparison="L2"),
}
