"""Accuracy of predicted classes."""

import numpy as np


def average_accuracy(predicted: np.ndarray, labels: np.ndarray) -> float:
    """The mean over classes of the accuracy within each class, in [0, 1].

    Classes without a test sample do not count.

    Args:
        predicted: class positions, shape (samples,).
        labels: true class positions, shape (samples,).
    """
    samples = np.bincount(labels)
    hits = np.bincount(labels, weights=predicted == labels, minlength=len(samples))
    present = samples > 0
    return float(np.mean(hits[present] / samples[present]))
