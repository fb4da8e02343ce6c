"""Evaluation of a network on a split, by the same code in training and for saved models.

Every sample has the same weight in every metric. ``Model.evaluate`` averages several losses over
batches, so that a smaller last batch has too much weight, and cannot exclude samples that pad a
batch.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras
import numpy as np
from keras import KerasTensor, ops

from datasets.batches import Batches
from evaluation.classification.accuracy import accuracy, average_accuracy, top_k_accuracy
from evaluation.features import compute


@dataclass(frozen=True)
class Head:
    """A tensor of a network that classifies."""

    name: str  # prefix of its metrics if there are several heads
    tensor: KerasTensor  # (batch, dimensions)
    # Maps its values, float32 (samples, dimensions), to scores (samples, classes), of which the
    # largest one decides
    scores: Callable[[np.ndarray], np.ndarray]
    # Maps class positions and values to one loss per sample
    loss: Callable[[np.ndarray, KerasTensor], KerasTensor] | None = None
    weight: float = 1.0  # weight of its loss in the total loss


@dataclass(frozen=True, eq=False)
class Metrics:
    """Losses and accuracies of a network on a split."""

    # Losses, and accuracies in [0, 1], by the names they have in training; accuracies are NaN if
    # any output or score is not finite
    values: dict[str, float]
    # Mean of the accuracies per class, of the last head; NaN likewise
    average_accuracy: float
    scores: np.ndarray  # scores of the last head, (samples, classes)
    features: np.ndarray | None = None  # (samples, dimensions), or None if not requested

    @property
    def diverged(self) -> bool:
        """Whether the network outputs numbers that are not finite, so nothing is classified."""
        return math.isnan(self.average_accuracy)


class Evaluator:
    """Compute losses and accuracies of a network with its current weights.

    Args:
        model: the network.
        heads: tensors that classify; the last one gives the final decision.
        features: a further tensor to compute, (batch, dimensions), or None.
        top_k: each k of further top-k accuracies.
        jit_compile: whether to compile the network.
        replicate: makes tensors have the values of the whole batch in every process.
        shard: distributes the images of a batch over all devices.
    """

    def __init__(
        self,
        model: keras.Model,
        heads: Sequence[Head],
        features: KerasTensor | None = None,
        top_k: tuple[int, ...] = (),
        jit_compile: bool = False,
        replicate: Callable[[list[KerasTensor]], list[KerasTensor]] = list,
        shard: Callable[[np.ndarray], object] = lambda images: images,
    ):
        self.model = model
        self.heads = heads
        self.top_k = top_k
        self._shard = shard
        tensors = [head.tensor for head in heads] + [features] * (features is not None)
        self._network = keras.Model(model.inputs, replicate(tensors))
        self._network.jit_compile = jit_compile

    def __call__(
        self, batches: Batches, verbose: int = 0, check: Callable[[], None] | None = None
    ) -> Metrics:
        """Evaluate the network on a split; see ``compute``."""
        labels = batches.split.labels
        computed = self.compute(batches, verbose, check)
        outputs = computed[: len(self.heads)]
        scores = [head.scores(p) for head, p in zip(self.heads, outputs, strict=True)]
        accuracies = self._accuracies(scores, labels)
        average = average_accuracy(scores[-1].argmax(axis=1), labels)
        if not all(np.isfinite(values).all() for values in (*outputs, *scores)):
            accuracies, average = dict.fromkeys(accuracies, math.nan), math.nan
        return Metrics(
            self._losses(computed, labels) | accuracies,
            average,
            scores[-1],
            computed[-1] if len(computed) > len(self.heads) else None,
        )

    def compute(
        self, batches: Batches, verbose: int = 0, check: Callable[[], None] | None = None
    ) -> list[np.ndarray]:
        """Return the values of all tensors for a split, see ``evaluation.features``."""
        return compute(self._network, batches, verbose, check, self._shard)

    def forget_trainability(self) -> None:
        """Call this after changing ``trainable``, which makes JAX's compiled function stale."""
        if keras.distribution.distribution() is not None:
            self._network.predict_function = None

    def _losses(self, computed: Sequence[np.ndarray], labels: np.ndarray) -> dict[str, float]:
        losses = {
            f"{head.name}_loss": float(ops.mean(head.loss(labels, ops.convert_to_tensor(values))))
            for head, values in zip(self.heads, computed, strict=False)
            if head.loss
        }
        if not losses:
            return {}
        total = sum(float(ops.convert_to_numpy(penalty)) for penalty in self.model.losses)
        for head, loss in zip(self.heads, losses.values(), strict=True):
            total += head.weight * loss
        return {"loss": total, **(losses if len(losses) > 1 else {})}

    def _accuracies(self, scores: Sequence[np.ndarray], labels: np.ndarray) -> dict[str, float]:
        accuracies = {}
        for head, found in zip(self.heads, scores, strict=True):
            prefix = f"{head.name}_" if len(self.heads) > 1 else ""
            accuracies[f"{prefix}acc"] = accuracy(found.argmax(axis=1), labels)
            for k in self.top_k:
                if k > 1:
                    known = min(k, found.shape[1])
                    accuracies[f"{prefix}acc{k}"] = top_k_accuracy(found, labels, known)
        return accuracies
