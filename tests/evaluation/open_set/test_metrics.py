"""Metrics of open-set recognition: golden values, and loops over all pairs and cut-offs."""

from itertools import pairwise

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from evaluation.open_set import metrics
from evaluation.open_set.metrics import Curve, evaluate

# Scores of two classes by five known images and four unknown ones, and what the published code
# makes of them.
KNOWN = np.array([[0.9, 0.05], [0.2, 0.8], [0.8, 0.1], [0.6, 0.3], [0.1, 0.3]])
LABELS = np.array([0, 1, 1, 0, 1])
UNKNOWN = np.array([[0.8, 0.1], [0.2, 0.5], [0.4, 0.3], [0.1, 0.2]])
GOLDEN = {
    "accuracy": 0.8,
    "auroc": 0.75,
    "oscr": 0.575,
    "auroc_published": 0.70,
    "oscr_published": 0.5,
    "tnr_at_tpr95": 0.0,
    "detection_accuracy": 0.775,
    "auin": 0.63297619,
    "auout": 0.56398810,
}


def drawn(seed, images, others, levels=None):
    """Scores of known and unknown images; with ``levels``, many are equal."""
    rng = np.random.default_rng(seed)
    known, unknown = rng.normal(1, 1, images), rng.normal(0, 1, others)
    if levels:
        known, unknown = np.round(known * levels), np.round(unknown * levels)
    return known, rng.random(images) < 0.8, unknown


CASES = {
    "distinct": drawn(0, 70, 40),
    "ties": drawn(1, 60, 90, levels=2),
    "one of each": (np.array([1.0]), np.array([True]), np.array([1.0])),
    "all equal": (np.ones(7), np.arange(7) < 5, np.ones(4)),
    "perfect": (np.arange(5, 11.0), np.ones(6, bool), np.arange(4.0)),
    "upside down": (np.arange(4.0), np.zeros(4, bool), np.arange(5, 11.0)),
}
cases = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def won(larger, smaller):
    """Share of pairs in which the first has the larger score; equal ones count one half."""
    wins = sum((x > y) + (x == y) / 2 for x in larger for y in smaller)
    return wins / (len(larger) * len(smaller)) if len(larger) else 0.0


def swept(known, correct, unknown, unknown_first=False):
    """Accepted known, correct and unknown images after refusing one after another."""
    rated = zip(known, correct, strict=True)
    waiting = [(score, unknown_first, bool(right), 0) for score, right in rated]
    waiting += [(score, not unknown_first, False, 1) for score in unknown]
    waiting.sort(key=lambda item: item[:2])
    rows = []
    for refused in range(len(waiting) + 1):
        left = waiting[refused:]
        others = sum(item[3] for item in left)
        rows.append((len(left) - others, sum(item[2] for item in left), others))
    return rows


def trapezoids(points):
    """Area below points (place, height), the places ascending or descending."""
    return abs(sum((x2 - x1) * (y1 + y2) / 2 for (x1, y1), (x2, y2) in pairwise(points)))


def test_golden_values():
    correct = KNOWN.argmax(axis=1) == LABELS
    found = evaluate(KNOWN.max(axis=1), correct, UNKNOWN.max(axis=1))
    assert found == pytest.approx(GOLDEN, abs=1e-8)


@cases
def test_auroc_and_oscr_are_shares_of_pairs(case):
    known, correct, unknown = case
    found = evaluate(*case)
    assert found["auroc"] == pytest.approx(won(known, unknown))
    assert found["oscr"] == pytest.approx(won(known[correct], unknown) * correct.mean())
    truth = np.repeat([1, 0], [len(known), len(unknown)])
    assert found["auroc"] == pytest.approx(roc_auc_score(truth, np.concatenate([known, unknown])))


@cases
@pytest.mark.parametrize("fpr", [0.0, 0.1, 0.5, 1.0])
def test_ccr_at_fpr_is_the_best_of_all_cut_offs(case, fpr):
    known, correct, unknown = case
    cut_offs = [np.inf, *known, *unknown]
    best = max(
        np.mean(correct & (known >= t)) for t in cut_offs if np.mean(unknown >= t) <= fpr + 1e-12
    )
    assert evaluate(*case, fprs=(fpr,))[f"ccr_at_fpr_{fpr:g}"] == pytest.approx(best)


@cases
def test_published_metrics_by_sweeping_over_all_images(case):
    known, _, unknown = case
    images, others = len(known), len(unknown)
    rows = swept(*case)
    tprs, fprs = [row[0] / images for row in rows], [row[2] / others for row in rows]
    found = evaluate(*case)
    pairs = list(zip(tprs, [1 - fpr for fpr in fprs], strict=True))
    assert found["auroc_published"] == pytest.approx(trapezoids(pairs))
    nearest = min(range(len(rows)), key=lambda i: abs(tprs[i] - 0.95))
    assert found["tnr_at_tpr95"] == pytest.approx(1 - fprs[nearest])
    assert found["detection_accuracy"] == pytest.approx(max(sum(pair) / 2 for pair in pairs))
    inside = [(k / images, k / (k + u)) for k, _, u in rows if k + u]
    assert found["auin"] == pytest.approx(trapezoids([(1, 0.5), *inside, (0, 0)]))
    refused = [(images - k, others - u) for k, _, u in rows]
    outside = [(u / others, u / (k + u)) for k, u in refused if k + u]
    assert found["auout"] == pytest.approx(trapezoids([(0, 0), *outside, (1, 0.5)]))


@cases
def test_published_oscr_pairs_each_cut_off_with_the_next_one(case):
    known, _, unknown = case
    areas = []
    for unknown_first in (False, True):
        rows = swept(*case, unknown_first)
        points = [
            (rows[i][2] / len(unknown), rows[i + 1][1] / len(known)) for i in range(len(rows) - 2)
        ]
        areas.append(trapezoids([*points, (0.0, 0.0)]))
    assert evaluate(*case)["oscr_published"] == pytest.approx(np.mean(areas))


def test_without_equal_scores_both_variants_of_auroc_agree_and_those_of_oscr_nearly():
    found = evaluate(*drawn(2, 2000, 2000))
    assert found["auroc"] == pytest.approx(found["auroc_published"], abs=1e-12)
    assert found["oscr"] == pytest.approx(found["oscr_published"], abs=1e-3)
    assert found["oscr"] != found["oscr_published"]


def test_saturated_scores_are_a_draw_and_as_published_a_loss():
    found = evaluate(*CASES["all equal"])
    assert (found["auroc"], str(found["auroc_published"])) == (0.5, "0.0")


def test_curves_go_from_everything_to_nothing():
    curve = Curve.exact(*CASES["ties"])
    for shares in (curve.tpr, curve.fpr, curve.ccr):
        assert (np.diff(shares) <= 0).all() and shares[-1] == 0
    assert curve.tpr[0] == curve.fpr[0] == 1
    assert curve.ccr[0] == CASES["ties"][1].mean()
    assert len(curve.tpr) == len(np.unique(np.concatenate(CASES["ties"][::2]))) + 1
    assert metrics.auroc(curve) == evaluate(*CASES["ties"])["auroc"]
