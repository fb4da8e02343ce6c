"""How a network's output classifies: from predictions to one score per class."""

from collections.abc import Callable

from keras import KerasTensor, ops


def output_scores(predictions: KerasTensor, class_vectors: KerasTensor) -> KerasTensor:
    """The outputs themselves, where each stands for one class (softmax, one-hot embeddings)."""
    return predictions


def dot_scores(predictions: KerasTensor, class_vectors: KerasTensor) -> KerasTensor:
    """Dot product with each class embedding."""
    return ops.matmul(predictions, ops.transpose(class_vectors))


def distance_scores(predictions: KerasTensor, class_vectors: KerasTensor) -> KerasTensor:
    """Negative squared Euclidean distance to each class embedding, less a term per sample.

    ||p - c||² = ||p||² - 2 p·c + ||c||², and ||p||² is the same for every class.
    """
    return 2 * dot_scores(predictions, class_vectors) - ops.sum(ops.square(class_vectors), axis=-1)


# Every function takes predictions (samples, dimensions) and class vectors (classes, dimensions) and
# returns scores (samples, classes); the class with the largest score is the decision.
DECISIONS: dict[str, Callable[[KerasTensor, KerasTensor], KerasTensor]] = {
    "output": output_scores,
    "dot": dot_scores,
    "distance": distance_scores,
}
