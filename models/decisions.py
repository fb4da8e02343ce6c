"""Decision rules, which turn a network's output into one score per class."""

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
from keras import KerasTensor, layers, ops

PROBABILITY = "probability"
COSINE = "cosine similarity"
DOT = "dot product"
DISTANCE = "negative squared distance"
DISTANCE_COSINE = "negative distance / (2 + cosine)"

Finish = Callable[[KerasTensor, KerasTensor, np.ndarray], KerasTensor]


_TINY = 1e-12


@dataclass(frozen=True)
class Decision:
    """A decision rule: predict the first class with the largest score."""

    kind: str  # meaning of the scores that ``complete`` returns
    # Maps class vectors, float32 (classes, dimensions), to kernel (dimensions, classes) and bias
    # (classes,) of the scores; None: the outputs are the scores
    affine: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]] | None = None
    # Maps affine scores (samples, classes), outputs (samples, dimensions) and class vectors to the
    # complete scores; None: these are the affine scores
    finish: Finish | None = None
    ranks: bool = True  # whether a sample's affine scores have the same order as the complete ones
    comparison: str = ""  # name of the distance or similarity, for tables

    @property
    def compares(self) -> bool:
        """Whether the rule compares outputs with class vectors."""
        return self.affine is not None

    def scores(self, outputs: KerasTensor, class_vectors: np.ndarray | None) -> KerasTensor:
        """Return scores for ranking, (samples, classes), from outputs (samples, dimensions).

        Class vectors are (classes, dimensions), or None if the outputs are the scores.
        """
        if self.affine is None:
            return outputs
        kernel, bias = self.affine(class_vectors)
        scores = ops.matmul(outputs, kernel) + bias
        return scores if self.ranks else self.finish(scores, outputs, class_vectors)

    def complete(self, outputs: KerasTensor, class_vectors: np.ndarray | None) -> KerasTensor:
        """Return the scores to report, which are comparable across samples."""
        scores = self.scores(outputs, class_vectors)
        finished = self.finish is None or not self.ranks
        return scores if finished else self.finish(scores, outputs, class_vectors)

    def score_tensor(self, tensor: KerasTensor, class_vectors: np.ndarray | None) -> KerasTensor:
        """Compute the scores of ``complete`` with layers that all export formats support."""
        if self.affine is None:
            return tensor
        kernel, bias = self.affine(np.asarray(class_vectors, np.float32))
        dense = layers.Dense(len(bias), dtype="float32", name="class_scores")
        dense.build((None, len(kernel)))
        dense.set_weights([kernel, bias])
        scores = dense(tensor)
        return self.finish(scores, tensor, class_vectors) if self.finish else scores

    def score_kind(self, layer: keras.Layer, class_vectors: np.ndarray | None) -> str:
        """Return the meaning of the scores of ``complete``, given the output layer."""
        if self.affine is None and is_softmax(layer):
            return PROBABILITY
        unit = isinstance(layer, layers.UnitNormalization) and _are_unit_vectors(class_vectors)
        return COSINE if self.kind == DOT and unit else self.kind


def _dot(class_vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return class_vectors.T, np.zeros(len(class_vectors), np.float32)


def _distance(class_vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """-||p - c||² = 2 p·c - ||c||² - ||p||²."""
    return 2 * class_vectors.T, -np.square(class_vectors).sum(axis=1)


def _less_squared_norm(scores: KerasTensor, outputs: KerasTensor, _: np.ndarray) -> KerasTensor:
    return ops.subtract(scores, ops.sum(ops.square(outputs), axis=1, keepdims=True))


def _cosine(class_vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return _dot(class_vectors / np.maximum(_norms(class_vectors), _TINY))


def _by_norm(scores: KerasTensor, outputs: KerasTensor, _: np.ndarray) -> KerasTensor:
    return scores / _lengths(outputs)


def _distance_by_cosine(
    scores: KerasTensor, outputs: KerasTensor, class_vectors: np.ndarray
) -> KerasTensor:
    """-||p - c|| / (2 + cos(p, c)), from the scores of ``_distance``."""
    norms = _norms(class_vectors)[:, 0]
    cosines = (scores + norms**2) / 2 / np.maximum(norms, _TINY) / _lengths(outputs)
    squared = ops.relu(ops.negative(_less_squared_norm(scores, outputs, class_vectors)))
    return ops.negative(ops.sqrt(squared)) / (cosines + 2)


def _norms(class_vectors: np.ndarray) -> np.ndarray:
    return np.linalg.norm(class_vectors, axis=1, keepdims=True).astype(np.float32)


def _lengths(outputs: KerasTensor) -> KerasTensor:
    squares = ops.sum(ops.square(outputs), axis=1, keepdims=True)
    return ops.sqrt(ops.maximum(squares, _TINY**2))


def _largest(class_vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Score each class by the output at the arg-max of its class vector."""
    kernel = np.eye(class_vectors.shape[1], dtype=np.float32)[:, class_vectors.argmax(axis=1)]
    return kernel, np.zeros(len(class_vectors), np.float32)


def is_softmax(layer: keras.Layer) -> bool:
    """Return whether a layer ends in a softmax."""
    activation = getattr(layer, "activation", None)
    return isinstance(layer, layers.Softmax) or activation is keras.activations.softmax


def _are_unit_vectors(class_vectors: np.ndarray | None) -> bool:
    if class_vectors is None:
        return True
    return bool(np.allclose(np.linalg.norm(class_vectors, axis=1), 1, atol=1e-5))


DECISIONS = {
    "output": Decision(DOT),  # one output per class: softmax, one-hot embeddings
    "largest": Decision(DOT, _largest),  # compares the arg-max of outputs and class vectors
    "dot": Decision(DOT, _dot, comparison="dot"),
    "distance": Decision(DISTANCE, _distance, _less_squared_norm, comparison="L2"),
    "cosine": Decision(COSINE, _cosine, _by_norm, comparison="cosine"),
    "distance_cosine": Decision(
        DISTANCE_COSINE,
        _distance,
        _distance_by_cosine,
        ranks=False,
        comparison="L2 / (2 + cosine)",
    ),
}
