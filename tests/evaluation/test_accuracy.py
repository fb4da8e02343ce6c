"""The average accuracy against a loop over classes and samples."""

import numpy as np
import pytest

from evaluation.accuracy import average_accuracy


def by_loop(predicted, labels):
    shares = []
    for label in sorted(set(labels)):
        hits = [p == label for p, t in zip(predicted, labels, strict=True) if t == label]
        shares.append(sum(hits) / len(hits))
    return sum(shares) / len(shares)


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_a_loop(seed):
    rng = np.random.default_rng(seed)
    labels = rng.choice(7, size=60, p=[0.5, 0.2, 0.1, 0.1, 0.05, 0.03, 0.02])
    predicted = np.where(rng.random(60) < 0.5, labels, rng.integers(0, 7, 60))
    assert average_accuracy(predicted, labels) == pytest.approx(
        by_loop(predicted.tolist(), labels.tolist())
    )


def test_every_class_counts_the_same_however_large_it_is():
    labels = np.array([0] * 9 + [1])
    assert average_accuracy(np.zeros(10, int), labels) == 0.5


def test_classes_without_samples_do_not_count():
    # Class 1 has no samples, class 5 is predicted only.
    assert average_accuracy(np.array([0, 5, 2]), np.array([0, 0, 2])) == pytest.approx(0.75)
