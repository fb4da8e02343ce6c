"""Accuracy of predicted classes: plain, top-k, balanced, per class and hierarchical.

``predicted`` and ``labels`` are predicted and true class positions, int (samples,); ``scores`` are
(samples, classes), and the largest one decides. Accuracies are in [0, 1].
"""

from collections.abc import Mapping

import numpy as np

TOP_K = 5


def accuracy(predicted: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of correctly classified samples."""
    return float(np.mean(predicted == labels))


def wilson_interval(correct: int, samples: int) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of an accuracy, both ends in [0, 1].

    Unlike the accuracy plus and minus a multiple of its standard error, it is valid for few samples
    and for accuracies near 0 or 1 (E. B. Wilson, Probable Inference, the Law of Succession, and
    Statistical Inference, JASA 22, 1927).

    Args:
        correct: number of correctly classified samples.
        samples: number of all samples, at least 1.
    """
    from scipy.stats import binomtest

    low, high = binomtest(correct, samples).proportion_ci(0.95, method="wilson")
    return float(low), float(high)


def average_accuracy(predicted: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean of the accuracies per class, over all classes with samples."""
    return float(np.nanmean(accuracy_per_class(predicted, labels, int(labels.max()) + 1)))


def accuracy_per_class(predicted: np.ndarray, labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Return the accuracy of each class, float64 (num_classes,); NaN for those without samples."""
    samples = np.bincount(labels, minlength=num_classes)
    hits = np.bincount(labels, weights=predicted == labels, minlength=num_classes)
    return np.divide(hits, samples, out=np.full(len(samples), np.nan), where=samples > 0)


def top_k_accuracy(scores: np.ndarray, labels: np.ndarray, k: int = TOP_K) -> float | None:
    """Return the share of samples whose class is among the k with the largest scores.

    Ties go to the first class, as with ``argmax``. None if there are fewer than k classes.
    """
    if scores.shape[1] < k:
        return None
    true = np.take_along_axis(scores, labels[:, np.newaxis], axis=1)
    earlier = np.arange(scores.shape[1]) < labels[:, np.newaxis]
    rank = ((scores > true) | ((scores == true) & earlier)).sum(axis=1)
    # Comparisons with NaN are false, so that it would rank first.
    return float(np.mean((rank < k) & np.isfinite(true[:, 0])))


def hierarchical_accuracy(
    predicted: np.ndarray, labels: np.ndarray, similarities: np.ndarray
) -> float:
    """Return the mean similarity of predicted and true class.

    With similarities, (classes, classes), of 1 - height(lowest common ancestor) / height(root),
    it tells how close wrong predictions are in a taxonomy (Barz and Denzler, "Hierarchy-based Image
    Embeddings for Semantic Image Retrieval", https://arxiv.org/abs/1809.09924).
    """
    return float(np.mean(similarities[labels, predicted]))


def all_accuracies(
    scores: np.ndarray, labels: np.ndarray, similarities: Mapping[str, np.ndarray]
) -> dict[str, float | None]:
    """Return every accuracy by name; None if undefined.

    There is a hierarchical one for each of ``similarities``, matrices by name.
    """
    predicted = scores.argmax(axis=1)
    return {
        "accuracy": accuracy(predicted, labels),
        f"top{TOP_K}_accuracy": top_k_accuracy(scores, labels),
        "average_accuracy": average_accuracy(predicted, labels),
        **{
            f"hierarchical_accuracy_{name}": hierarchical_accuracy(predicted, labels, matrix)
            for name, matrix in similarities.items()
        },
    }
