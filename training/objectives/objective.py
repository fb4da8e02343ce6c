"""The objective: a weighted sum of losses, one on each output of the network.

All methods of the paper are objectives; the training loop knows none of them by name.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import keras
import numpy as np
from keras import KerasTensor, ops

from embeddings import ClassEmbeddings
from evaluation.classification.evaluator import Head
from models.decisions import DECISIONS
from training.objectives import DEFAULT_LOSS, LOSSES, losses
from training.objectives.metrics import (
    ClassAccuracy,
    KnownAccuracy,
    MixedAccuracy,
    accuracy_metrics,
    between,
    class_positions,
    mixed_labels,
)
from utils import UsageError

SMALLEST_SHARE = 1e-6  # of known samples in a batch; avoids division by zero
SMALLEST_NORM = 1e-7  # of a mixture of two class vectors, which may cancel out


@dataclass(frozen=True)
class Term:
    """The loss on one output of the network.

    Attributes:
        function: maps (targets, predictions) to one loss per sample.
        class_vectors: float32 array (classes, dimensions): row c is the target of class c.
        decision: how the output is classified, a key of ``models.decisions.DECISIONS``.
        weight: factor in the sum.
        with_background: whether batches include background images, see ``datasets.background``.
        background: maps (targets, predictions, known) to the loss that background images add to
            each known sample, or None; ``known`` is False for background images.
        mixed: what to minimize for samples mixed from two, a key of
            ``training.objectives.MIXED_TARGETS``; None: samples are not mixed.
        class_weights: float32 array (classes,), factors of the samples' losses; None: all 1.
    """

    function: Callable[[KerasTensor, KerasTensor], KerasTensor]
    class_vectors: np.ndarray
    decision: str = "output"
    weight: float = 1.0
    with_background: bool = False
    background: Callable[[KerasTensor, KerasTensor, KerasTensor], KerasTensor] | None = None
    mixed: str | None = None
    class_weights: np.ndarray | None = None

    def loss(self, positions: KerasTensor, predictions: KerasTensor) -> KerasTensor:
        """Return the unweighted loss of each sample, (batch,), given class positions, (batch,)."""
        return self.function(self._targets(class_positions(positions)), predictions)

    def training_loss(self, positions: KerasTensor, predictions: KerasTensor) -> KerasTensor:
        """Return the loss to minimize, (batch,), scaled such that its mean is over known samples.

        Class weights multiply the losses; the mean is not divided by the sum of weights.
        """
        if self.mixed:
            return self._mixed_loss(*mixed_labels(positions), predictions)
        if not self.with_background:
            return self._weighted(self.loss(positions, predictions), class_positions(positions))
        positions = class_positions(positions)
        known = positions >= 0
        positions = ops.maximum(positions, 0)
        targets = self._targets(positions)
        losses = self.function(targets, predictions)
        if self.background:
            losses = losses + self.background(targets, predictions, known)
        losses = self._weighted(losses, positions)
        weights = ops.cast(known, losses.dtype)
        return losses * weights / ops.maximum(ops.mean(weights), SMALLEST_SHARE)

    def _mixed_loss(
        self,
        first: KerasTensor,
        second: KerasTensor,
        share: KerasTensor,
        predictions: KerasTensor,
    ) -> KerasTensor:
        classes = [class_positions(each) for each in (first, second)]
        if self.mixed == "loss":
            each = (self._weighted(self.loss(own, predictions), own) for own in classes)
            return between(*each, share)
        column = ops.expand_dims(share, -1)
        targets = [self._targets(own) for own in classes]
        length = between(*(ops.norm(each, axis=-1, keepdims=True) for each in targets), column)
        mixture = between(*targets, column)
        norm = ops.norm(mixture, axis=-1, keepdims=True)
        losses = self.function(mixture * length / ops.maximum(norm, SMALLEST_NORM), predictions)
        if self.class_weights is None:
            return losses
        return between(*(self._weighted(losses, own) for own in classes), share)

    def _weighted(self, losses: KerasTensor, positions: KerasTensor) -> KerasTensor:
        if self.class_weights is None:
            return losses
        return losses * ops.take(self.class_weights, positions, axis=0)

    def _targets(self, positions: KerasTensor) -> KerasTensor:
        if self._levels is None:
            return ops.take(self.class_vectors, positions, axis=0)
        classes = ops.arange(len(self.class_vectors), dtype="int32")
        return ops.where(ops.equal(ops.expand_dims(positions, -1), classes), *self._levels)

    @cached_property
    def _levels(self) -> tuple[np.float32, np.float32] | None:
        """The values of true and other classes if the targets are one-hot vectors, else None.

        Smoothed and scaled one-hot vectors count, too. Such targets are computed on the fly: for
        thousands of classes, the square matrix would become a constant of the compiled step.
        """
        true, other = self.class_vectors[0, 0], self.class_vectors[0, -1]
        is_true = np.eye(*self.class_vectors.shape, dtype=bool)
        square = len(set(self.class_vectors.shape)) == 1
        same = square and np.array_equal(self.class_vectors, np.where(is_true, true, other))
        return (true, other) if same else None

    def scores(self, predictions: np.ndarray) -> np.ndarray:
        """Return the scores of all classes, (samples, classes); the largest one is predicted."""
        scores = DECISIONS[self.decision].scores(predictions, self.class_vectors)
        return ops.convert_to_numpy(scores)

    def metrics(self, top_k: tuple[int, ...]) -> list[ClassAccuracy]:
        """Return new metric objects for this output."""
        kind = KnownAccuracy if self.with_background else ClassAccuracy
        kind = MixedAccuracy if self.mixed else kind
        return accuracy_metrics(self.class_vectors, self.decision, top_k, kind)


@dataclass(frozen=True)
class Objective:
    """One term per output, in the network's order; the last output classifies."""

    terms: tuple[Term, ...]

    @property
    def label_shape(self) -> tuple[int, ...]:
        """The shape of a training label."""
        return (3,) if self.terms[0].mixed else ()

    def weighted(self, class_weights: np.ndarray | None) -> "Objective":
        """Return the same objective with these class weights; None: without."""
        return Objective(tuple(replace(term, class_weights=class_weights) for term in self.terms))

    def heads(self, model: keras.Model) -> list[Head]:
        """Describe the outputs of a network for an ``Evaluator``."""
        return [
            Head(name, tensor, term.scores, term.loss, term.weight)
            for name, tensor, term in zip(
                model.output_names, model.outputs, self.terms, strict=True
            )
        ]

    def metric_names(self, output_names: Sequence[str], top_k: tuple[int, ...]) -> list[str]:
        """Return the names of all losses and accuracies in logs, of training, then validation.

        Validation images are never mixed.
        """
        several = len(self.terms) > 1
        heads = [f"{name}_" if several else "" for name in output_names]
        losses = ["loss", *(f"{head}loss" for head in heads if several)]

        def accuracies(terms: Sequence[Term]) -> list[str]:
            pairs = zip(heads, terms, strict=True)
            return [head + metric.name for head, term in pairs for metric in term.metrics(top_k)]

        judged = losses + accuracies([replace(term, mixed=None) for term in self.terms])
        return losses + accuracies(self.terms) + [f"val_{name}" for name in judged]

    def compile_arguments(self, top_k: tuple[int, ...]) -> dict[str, object]:
        """Return the arguments of ``keras.Model.compile`` for this objective."""
        if len(self.terms) == 1:
            (only,) = self.terms
            return {"loss": only.training_loss, "metrics": only.metrics(top_k)}
        return {
            "loss": [term.training_loss for term in self.terms],
            "loss_weights": [term.weight for term in self.terms],
            "metrics": [term.metrics(top_k) for term in self.terms],
        }


def smoothed_onehot(num_classes: int, smoothing: float = 0.0) -> np.ndarray:
    """Return targets 1 - e for the true class and e / (n - 1) for all others, float32 (n, n).

    In Keras, ``label_smoothing`` means 1 - e + e / n and e / n instead.
    """
    off = smoothing / max(num_classes - 1, 1)
    return np.where(np.eye(num_classes, dtype=bool), 1 - smoothing, off).astype(np.float32)


def cross_entropy_objective(
    num_classes: int, label_smoothing: float = 0.0, mixed: bool = False
) -> Objective:
    """Return softmax + cross-entropy (paper, equation (6)), optionally with label smoothing.

    For ``mixed`` samples, the losses of both classes are weighted by their shares.
    """
    term = _term("xent", smoothed_onehot(num_classes, label_smoothing))
    return Objective((replace(term, mixed="loss" if mixed else None),))


def embedding_objective(
    class_embeddings: ClassEmbeddings,
    loss: str = DEFAULT_LOSS,
    cls_weight: float = 0.0,
    margin: float | None = None,
    with_background: bool = False,
    mixed: str | None = None,
) -> Objective:
    """Return a loss on embeddings, plus the cross-entropy of a classifier if ``cls_weight`` > 0.

    Args:
        class_embeddings: the targets.
        loss: a key of ``training.objectives.EMBEDDING_LOSSES``.
        cls_weight: lambda in equation (7) of the paper; 0: the network has no classifier.
        margin: margin of the loss, if it takes one; None: the published one.
        with_background: whether batches include background images.
        mixed: what to minimize for samples mixed from two, a key of ``MIXED_TARGETS``, or None.

    Raises:
        UsageError: the margin does not fit the targets, see ``margin_between``.
    """
    on_embedding = _term(loss, class_embeddings.vectors, margin)
    if class_embeddings.is_onehot:
        on_embedding = replace(on_embedding, decision="output")
    terms = [replace(on_embedding, mixed=mixed)]
    if cls_weight > 0:
        classes = len(class_embeddings.labels)
        (on_classifier,) = cross_entropy_objective(classes, mixed=mixed is not None).terms
        terms.append(replace(on_classifier, weight=cls_weight))
    return Objective(tuple(replace(term, with_background=with_background) for term in terms))


def _term(name: str, class_vectors: np.ndarray, margin: float | None = None) -> Term:
    row = LOSSES[name]
    function = getattr(losses, row.function)
    background = getattr(losses, row.background) if row.background else None
    if "class_vectors" in row.takes:
        function = partial(function, class_vectors=class_vectors)
    if "margin" in row.takes:
        margin = margin_between(name, class_vectors, margin)
        function = partial(function, margin=margin)
        background = background and partial(background, margin=margin)
    return Term(function, class_vectors, row.decision, background=background)


def margin_between(name: str, class_vectors: np.ndarray, margin: float | None) -> float:
    """Return the given margin or, if None, the published margin of a loss.

    Args:
        name: a key of ``LOSSES``.
        class_vectors: embeddings of all classes, (classes, dimensions).
        margin: given by the user, or None.

    Raises:
        UsageError: there is no published margin for such class vectors, or no two of them are that
            far apart.
    """
    distances = _squared_distances(class_vectors)
    margin = LOSSES[name].margin if margin is None else margin
    if margin is None:
        if distances.size and not np.allclose(distances, distances.mean(), rtol=1e-3):
            raise UsageError(
                f"--loss {name} has a default margin only for equidistant class embeddings; these "
                f"have squared distances from {distances.min():.4g} to {distances.max():.4g}: give "
                "--margin"
            )
        return math.sqrt(distances.mean()) / 10 if distances.size else 0.0
    if distances.size and margin > distances.max():
        raise UsageError(
            f"--margin {margin:g}: the largest squared distance between class embeddings is "
            f"{distances.max():.4g}; give a smaller --margin or a larger --embedding_scale"
        )
    return margin


def _squared_distances(vectors: np.ndarray) -> np.ndarray:
    """Return the squared distances of all pairs of different classes, (pairs,)."""
    norms = np.square(vectors).sum(axis=1)
    squared = norms[:, None] + norms - 2 * vectors @ vectors.T
    return np.maximum(squared[np.triu_indices(len(vectors), 1)], 0)
