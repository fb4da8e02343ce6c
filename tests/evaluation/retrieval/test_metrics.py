"""Retrieval against a slow computation: pure Python loops over queries and ranks."""

import math

import numpy as np
import pytest

from evaluation.retrieval import metrics
from evaluation.retrieval.metrics import area, evaluate

CLASSES = 5


def rounded_cost(a, b):
    """Squared distance, coarse enough that only equal ones are equal."""
    return round(sum((x - y) ** 2 for x, y in zip(a, b, strict=True)), 9)


def slow(features, labels, similarity, normalize):
    """Mean HP@k for all k and mAP, by the definitions."""
    vectors = [list(map(float, vector)) for vector in features]
    if normalize:
        lengths = [math.sqrt(sum(x * x for x in v)) or 1 for v in vectors]
        vectors = [[x / n for x in v] for v, n in zip(vectors, lengths, strict=True)]
    images = len(vectors)
    curves, average_precisions = [], []
    for query in range(images):
        others = [i for i in range(images) if i != query]
        ranking = sorted(others, key=lambda i: (rounded_cost(vectors[query], vectors[i]), i))
        found = [similarity[labels[query]][labels[i]] for i in ranking]
        ideal = sorted(found, reverse=True)
        curve = []
        for k in range(1, images):
            best = sum(ideal[:k])
            curve.append(sum(found[:k]) / best if best > 0 else 1.0)
        curves.append(curve)
        hits = [labels[i] == labels[query] for i in ranking]
        if any(hits):
            precisions = [sum(hits[: r + 1]) / (r + 1) for r, hit in enumerate(hits) if hit]
            average_precisions.append(sum(precisions) / len(precisions))
    mean = [sum(column) / images for column in zip(*curves, strict=True)]
    return mean, sum(average_precisions) / len(average_precisions)


@pytest.fixture(scope="module")
def small():
    """Features of 40 images with duplicates, a zero vector, a class of one image and of none."""
    rng = np.random.default_rng(3)
    labels = rng.integers(0, CLASSES - 2, 40)
    labels[17] = CLASSES - 2
    features = rng.normal(size=(40, 3)) + labels[:, None] * [0.5, 0, -1]
    features[5] = features[21] = features[30]
    features[9] = 0
    return features.astype(np.float32), labels


@pytest.fixture(scope="module")
def similarities():
    """One with distinct values, one with many equal ones and zeros, as trees have."""
    rng = np.random.default_rng(4)
    random = rng.uniform(0.1, 0.9, (CLASSES, CLASSES))
    random = (random + random.T) / 2
    tree = np.zeros((CLASSES, CLASSES))
    tree[:2, :2] = 0.5
    for matrix in (random, tree):
        np.fill_diagonal(matrix, 1)
    return {"random": random, "tree": tree}


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("block", [1, 130, 2_000_000])
def test_all_metrics_agree_with_loops(small, similarities, monkeypatch, normalize, block):
    monkeypatch.setattr(metrics, "_BLOCK", block)
    found = evaluate(*small, similarities, normalize=normalize)
    assert list(found.precision) == ["random", "tree"]
    for name, matrix in similarities.items():
        curve, mean_average_precision = slow(*small, matrix.tolist(), normalize)
        np.testing.assert_allclose(found.precision[name], curve, atol=1e-12)
        assert found.mean_average_precision == pytest.approx(mean_average_precision, abs=1e-12)


def test_normalization_makes_a_difference(small, similarities):
    one, two = (evaluate(*small, similarities, normalize=n) for n in (True, False))
    assert abs(one.mean_average_precision - two.mean_average_precision) > 1e-3


def test_scaling_all_features_changes_nothing(small, similarities):
    features, labels = small[0].astype(float), small[1]
    for normalize in (True, False):
        expected = evaluate(features, labels, similarities, normalize)
        for factor in (2.0**-500, 2.0**600):
            found = evaluate(features * factor, labels, similarities, normalize)
            np.testing.assert_array_equal(found.precision["random"], expected.precision["random"])


def test_equally_near_images_come_in_the_order_of_the_dump():
    """All images are alike: image 0 retrieves 1, 2, 3; the others retrieve 0 first."""
    similarity = np.array([[1.0, 0.25], [0.25, 1.0]])
    found = evaluate(np.ones((4, 2)), np.array([0, 0, 1, 1]), {"s": similarity})
    # Similarities at ranks 1-3 of each query: 1 ¼ ¼, 1 ¼ ¼, ¼ ¼ 1, ¼ ¼ 1; ideal 1 ¼ ¼.
    np.testing.assert_allclose(found.precision["s"], [2.5 / 4, (2 + 2 * 0.5 / 1.25) / 4, 1])
    assert found.mean_average_precision == pytest.approx((1 + 1 + 1 / 3 + 1 / 3) / 4)


def test_near_ties_of_tight_clusters_are_resolved():
    """Cosines that differ by 1e-10, which float32 products would not resolve."""
    angles = np.array([0, 1e-5, 1.5e-5, 1])
    features = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    found = evaluate(features, np.array([0, 1, 0, 1]), {"same": np.eye(2)})
    # First retrieved: 0 → 1, 1 → 2, 2 → 1, 3 → 2: never the own class.
    assert found.precision["same"][0] == 0


def test_perfect_features_reach_one(similarities):
    labels = np.repeat([2, 0], 4)
    found = evaluate(np.eye(3)[labels], labels, {"random": similarities["random"]})
    np.testing.assert_allclose(found.precision["random"], np.ones(7))
    assert found.mean_average_precision == 1


def test_without_two_images_of_a_class_there_is_no_mean_average_precision(similarities):
    found = evaluate(np.eye(3), np.arange(3), similarities)
    assert math.isnan(found.mean_average_precision)
    assert found.precision["random"].shape == (2,)


def test_the_area_is_the_published_formula():
    curve = np.array([1.0, 0.5, 0.75, 0.25])
    assert area(curve, 3) == pytest.approx((1 + 0.5 + 0.75 - (1 + 0.75) / 2) / 3)
    assert area(curve) == pytest.approx(np.trapezoid(curve) / 4)
    assert area(np.ones(10)) == pytest.approx(0.9)


def test_hundreds_of_classes_and_more_images_than_a_block(monkeypatch):
    """Class numbers beyond a byte; one block has parts of several classes."""
    monkeypatch.setattr(metrics, "_BLOCK", 4000)
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(300), 2))
    features = np.stack([np.cos(labels / 96), np.sin(labels / 96)], axis=1)
    nearness = 1 - np.abs(np.subtract.outer(np.arange(300), np.arange(300))) / 300
    found = evaluate(features, labels, {"nearness": nearness})
    # Classes lie on half a circle in their order: every ranking is ideal.
    np.testing.assert_allclose(found.precision["nearness"], 1)
    assert found.mean_average_precision == 1
