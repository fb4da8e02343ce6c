"""Verification by folds, against loops over pairs, folds and thresholds."""

import numpy as np
import pytest

from evaluation.plots import sampled
from evaluation.verification.metrics import Folds, distances, fold_accuracies, tar_at_far
from evaluation.verification.pairs import Pairs
from evaluation.verification.report import verify
from utils import UsageError, UserError


def pairs(count, seed=0, separation=0.4):
    """Squared distances of unit vectors, and which pairs are of one person."""
    rng = np.random.default_rng(seed)
    same = rng.random(count) < 0.5
    return np.clip(rng.normal(1.6 - separation * same, 0.3), 0, 4), same


def split(count, folds):
    """Positions of consecutive pairs, the first folds larger by one."""
    sizes = [count // folds + (i < count % folds) for i in range(folds)]
    ends = np.cumsum(sizes)
    return [list(range(end - size, end)) for size, end in zip(sizes, ends, strict=True)]


@pytest.mark.parametrize(("count", "folds"), [(53, 4), (40, 2)])
def test_accuracy_at_the_threshold_that_is_best_on_the_other_folds(count, folds):
    found, same = pairs(count)
    accuracies, thresholds = fold_accuracies(Folds.divide(found, same, folds))
    for i, members in enumerate(split(count, folds)):
        others = [j for j in range(count) if j not in members]
        best, best_hits = None, -1
        for step in range(400):
            threshold = np.arange(0, 4, 0.01)[step]
            hits = sum((found[others] < threshold) == same[others])
            if hits > best_hits:
                best, best_hits = threshold, hits
        assert thresholds[i] == best
        hits = [(found[j] < best) == same[j] for j in members]
        assert accuracies[i] == pytest.approx(np.mean(hits))


@pytest.mark.parametrize("far", [0.1, 0.5])
def test_tar_at_the_threshold_where_the_other_folds_have_that_far(far):
    found, same = pairs(60, seed=1)
    tars = tar_at_far(Folds.divide(found, same, 5), far)
    grid = np.arange(0, 4, 0.001)
    for i, members in enumerate(split(60, 5)):
        others = np.setdiff1d(np.arange(60), members)
        wrong = found[others][~same[others]]
        rates = [np.mean(wrong < t) for t in grid]
        below = max(j for j, rate in enumerate(rates) if rate <= far)
        share = (far - rates[below]) / (rates[below + 1] - rates[below])
        threshold = grid[below] + share * 0.001
        chosen = [found[j] < threshold for j in members if same[j]]
        assert tars[i] == pytest.approx(np.mean(chosen))


def test_a_far_that_no_threshold_reaches_accepts_nothing():
    folds = Folds.divide(np.array([0.1, 4.0, 0.2, 4.0]), np.array([True, False] * 2), 2)
    assert tar_at_far(folds, 0.5).tolist() == [0, 0]


def test_distances_are_of_unit_vectors():
    vectors = np.array([[3, 0], [0, 0.5], [-2, 0], [0, 0], [1, 1]], np.float32)
    found = distances(vectors, np.array([0, 0, 0, 0]), np.array([1, 2, 3, 4]))
    np.testing.assert_allclose(found, [2, 4, 1, 2 - 2**0.5], rtol=1e-7)


def test_folds_that_cannot_be_evaluated():
    found, same = pairs(20)
    with pytest.raises(UsageError, match="1 folds are too few"):
        Folds.divide(found, same, 1)
    with pytest.raises(UserError, match="fold 2 of 2 has no pairs of different people"):
        Folds.divide(found, np.arange(20) >= 9, 2)


def test_the_curve_has_all_its_steps_where_distances_are_tied():
    """A pair of each kind at a distance of 2, and one of each at 4."""
    features = np.array([[1, 0], [0, 1], [-1, 0]], np.float32)
    pairs = Pairs(np.zeros(4, int), np.array([1, 1, 2, 2]), np.array([True, False, True, False]))
    found = verify(features, pairs, 2)
    assert sampled(found.roc)["0.5"] == 0.5 and found.auc == 0.5
