"""Accuracies against loops over classes and samples, and scikit-learn; Wilson intervals."""

import math

import numpy as np
import pytest
from sklearn import metrics

from evaluation.classification.accuracy import (
    accuracy_per_class,
    all_accuracies,
    average_accuracy,
    hierarchical_accuracy,
    top_k_accuracy,
    wilson_interval,
)

# R. G. Newcombe, Two-sided confidence intervals for the single proportion, Statistics in Medicine
# 17, 1998, Table I, method 3.
PUBLISHED = {
    (81, 263): (0.2553, 0.3662),
    (15, 148): (0.0624, 0.1605),
    (0, 20): (0.0000, 0.1611),
    (1, 29): (0.0061, 0.1718),
}


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


@pytest.fixture(scope="module", params=range(4))
def classified(request):
    """Scores of 80 samples for 7 classes, of which the last has no sample."""
    rng = np.random.default_rng(request.param)
    labels = np.concatenate([np.arange(6), rng.integers(0, 6, 74)])
    scores = rng.normal(size=(80, 7)).astype(np.float32)
    scores[np.arange(80), labels] += 0.7
    return scores, labels


def test_top_k_agrees_with_scikit_learn(classified):
    scores, labels = classified
    for k in range(1, 7):
        expected = metrics.top_k_accuracy_score(labels, scores, k=k, labels=np.arange(7))
        assert top_k_accuracy(scores, labels, k) == pytest.approx(expected)
    assert top_k_accuracy(scores, labels, 7) == 1
    assert top_k_accuracy(scores, labels, 8) is None


def test_of_equal_scores_the_first_counts_as_for_arg_max():
    labels = np.array([0, 1, 2])
    assert top_k_accuracy(np.zeros((3, 3)), labels, 1) == pytest.approx(1 / 3)
    assert top_k_accuracy(np.zeros((3, 3)), labels, 2) == pytest.approx(2 / 3)


def test_of_scores_that_are_no_numbers_none_is_among_the_largest():
    assert top_k_accuracy(np.full((2, 3), np.nan), np.array([0, 2]), 2) == 0


def test_every_class_by_itself(classified):
    scores, labels = classified
    predicted = scores.argmax(axis=1)
    found = accuracy_per_class(predicted, labels, 7)
    expected = metrics.recall_score(labels, predicted, average=None, labels=np.arange(6))
    np.testing.assert_allclose(found[:6], expected)
    assert np.isnan(found[6])


def test_hierarchical_accuracy_by_a_loop(classified):
    scores, labels = classified
    similarities = np.random.default_rng(9).random((7, 7))
    pairs = zip(labels.tolist(), scores.argmax(axis=1).tolist(), strict=True)
    expected = sum(similarities[true][predicted] for true, predicted in pairs) / 80
    found = hierarchical_accuracy(scores.argmax(axis=1), labels, similarities)
    assert found == pytest.approx(expected)


def test_all_accuracies_together(classified):
    scores, labels = classified
    predicted = scores.argmax(axis=1)
    found = all_accuracies(scores, labels, {"lcs": np.eye(7), "wup": np.ones((7, 7))})
    assert found == {
        "accuracy": pytest.approx(metrics.accuracy_score(labels, predicted)),
        "top5_accuracy": pytest.approx(
            metrics.top_k_accuracy_score(labels, scores, k=5, labels=np.arange(7))
        ),
        # scikit-learn warns of predicted classes without samples, and leaves them out as well.
        "average_accuracy": pytest.approx(
            np.mean(metrics.recall_score(labels, predicted, average=None, labels=np.arange(6)))
        ),
        "hierarchical_accuracy_lcs": pytest.approx(metrics.accuracy_score(labels, predicted)),
        "hierarchical_accuracy_wup": 1,
    }


@pytest.mark.parametrize(("counts", "expected"), PUBLISHED.items())
def test_wilson_intervals_are_those_published(counts, expected):
    assert wilson_interval(*counts) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize(("correct", "samples"), [(0, 1), (1, 1), (7, 9), (500, 1000)])
def test_wilson_intervals_follow_the_formula(correct, samples):
    z, share = 1.959963984540054, correct / samples
    center = (share + z**2 / (2 * samples)) / (1 + z**2 / samples)
    half = z / (1 + z**2 / samples)
    half *= math.sqrt(share * (1 - share) / samples + z**2 / (4 * samples**2))
    expected = (max(0, center - half), min(1, center + half))
    assert wilson_interval(correct, samples) == pytest.approx(expected, abs=1e-9)
