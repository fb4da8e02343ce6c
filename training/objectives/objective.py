"""What is minimized: for each output of the network its targets, loss, weight and decision rule.

All that differs between the losses of the paper is data of this form; the training loop knows none
of them by name.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from embeddings import ClassEmbeddings
from training.objectives import LOSSES, losses
from training.objectives.metrics import ClassAccuracy, accuracy_metrics


@dataclass(frozen=True)
class Objective:
    """The objective of one network output.

    Attributes:
        loss: function of (targets, predictions), one value per sample.
        class_vectors: float32 array (classes, dimensions): row c is the target of class c.
        decision: name of the rule in ``models.decisions.DECISIONS``.
        weight: factor of this loss in the sum.
    """

    loss: Callable
    class_vectors: np.ndarray
    decision: str = "output"
    weight: float = 1.0

    def metrics(self, top_k: tuple[int, ...]) -> list[ClassAccuracy]:
        """New metric objects for this output."""
        return accuracy_metrics(self.class_vectors, self.decision, top_k)


@dataclass(frozen=True)
class Objectives:
    """The objectives of all outputs, in the network's order; the last one classifies."""

    outputs: tuple[Objective, ...]

    def encode(self, labels: np.ndarray) -> np.ndarray | tuple[np.ndarray, ...]:
        """Targets of samples with these class positions: one array per output."""
        targets = tuple(output.class_vectors[labels] for output in self.outputs)
        return targets if len(targets) > 1 else targets[0]

    def figure_names(self, output_names: Sequence[str], top_k: tuple[int, ...]) -> list[str]:
        """The names of all losses and accuracies that Keras reports for these outputs."""
        if len(self.outputs) == 1:
            return ["loss", *(metric.name for metric in self.outputs[0].metrics(top_k))]
        accuracies = [
            f"{name}_{metric.name}"
            for name, output in zip(output_names, self.outputs, strict=True)
            for metric in output.metrics(top_k)
        ]
        return ["loss", *(f"{name}_loss" for name in output_names), *accuracies]

    def compile_arguments(self, top_k: tuple[int, ...]) -> dict[str, object]:
        """The arguments of ``keras.Model.compile`` that state this objective."""
        if len(self.outputs) == 1:
            (only,) = self.outputs
            return {"loss": only.loss, "metrics": only.metrics(top_k)}
        return {
            "loss": [output.loss for output in self.outputs],
            "loss_weights": [output.weight for output in self.outputs],
            "metrics": [output.metrics(top_k) for output in self.outputs],
        }


def smoothed_onehot(num_classes: int, smoothing: float = 0.0) -> np.ndarray:
    """1 - e for the true class and e / (n - 1) for each of the others; float32 (n, n).

    The ``label_smoothing`` of Keras means something else: 1 - e + e / n and e / n.
    """
    off = smoothing / max(num_classes - 1, 1)
    return np.where(np.eye(num_classes, dtype=bool), 1 - smoothing, off).astype(np.float32)


def cross_entropy(num_classes: int, label_smoothing: float = 0.0) -> Objectives:
    """Softmax + cross-entropy (paper, equation (2)), with label smoothing if wanted."""
    return Objectives((_cross_entropy(num_classes, label_smoothing),))


def embedding(
    class_embeddings: ClassEmbeddings, loss: str = "inv_corr", cls_weight: float = 0.0
) -> Objectives:
    """A loss on embeddings, and cross-entropy of a classifier head if its weight is above 0.

    Args:
        class_embeddings: the targets.
        loss: a key of ``training.objectives.EMBEDDING_LOSSES``.
        cls_weight: lambda of paper, equation (7).
    """
    on_embedding = _objective(loss, class_embeddings.vectors)
    if class_embeddings.is_onehot:
        on_embedding = replace(on_embedding, decision="output")
    if cls_weight <= 0:
        return Objectives((on_embedding,))
    head = replace(_cross_entropy(len(class_embeddings.labels)), weight=cls_weight)
    return Objectives((on_embedding, head))


def _cross_entropy(num_classes: int, label_smoothing: float = 0.0) -> Objective:
    return _objective("xent", smoothed_onehot(num_classes, label_smoothing))


def _objective(name: str, class_vectors: np.ndarray) -> Objective:
    row = LOSSES[name]
    return Objective(getattr(losses, row.function), class_vectors, row.decision)
