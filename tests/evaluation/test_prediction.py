"""Predictions of a classifier, recomputed with NumPy alone."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from evaluation.prediction import Classifier
from models.files.description import ModelDescription, Output
from utils import UsageError, UserError

ROOT = Path(__file__).parents[2]
RNG = np.random.default_rng(5)
PLAIN = RNG.normal(size=(3, 4)).astype(np.float32)
UNIT = PLAIN / np.linalg.norm(PLAIN, axis=1, keepdims=True)
IMAGES = RNG.integers(0, 256, (6, 2, 2, 3), np.uint8)


def network(ending: str, dimensions: int) -> keras.Model:
    """Average colors through a dense layer and what ``ending`` names."""
    image = keras.Input((None, None, 3), name="image")
    x = keras.layers.GlobalAveragePooling2D()(image)
    x = keras.layers.Rescaling(1 / 255)(x)
    activation = "softmax" if ending == "prob" else None
    name = "prob" if ending == "prob" else "embedding"
    x = keras.layers.Dense(dimensions, activation=activation, name=name)(x)
    if ending == "l2norm":
        x = keras.layers.UnitNormalization(name="l2norm")(x)
    if ending == "softmax":
        x = keras.layers.Softmax(name="softmax")(x)
    model = keras.Model(image, x)
    weights = np.random.default_rng(1).normal(0, 2, (3, dimensions))
    model.get_layer(name).set_weights([weights, np.linspace(-1, 1, dimensions)])
    return model


def expected_outputs(ending: str, dimensions: int) -> np.ndarray:
    """The same in double precision."""
    weights = np.random.default_rng(1).normal(0, 2, (3, dimensions))
    x = IMAGES.mean(axis=(1, 2)) / 255 @ weights + np.linspace(-1, 1, dimensions)
    if ending in ("prob", "softmax"):
        x = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    if ending == "l2norm":
        x = x / np.sqrt((x**2).sum(axis=1, keepdims=True))
    return x


def describe(*outputs: Output) -> ModelDescription:
    return ModelDescription("Folder", (7, 8, 9), ("a", "b", "c"), 3, 2, 2, outputs)


def distances(p: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    return np.array([[-sum((x - y) ** 2) for y in vectors] for x in p])


def correlations(p: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    return np.array([[sum(x * y) for y in vectors] for x in p])


def at_largest(p: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    return np.array([[x[list(y).index(max(y))] for y in vectors] for x in p])


def cosines(outputs, vectors):
    lengths = [np.outer(np.linalg.norm(a, axis=1), [1]) for a in (outputs, vectors)]
    return outputs @ vectors.T / lengths[0] / lengths[1].T


def by_both(outputs, vectors):
    return -np.sqrt(-distances(outputs, vectors)) / (2 + cosines(outputs, vectors))


# The last layer, the decision rule, its class vectors; the kind of the scores and their formula.
TABLE = [
    ("prob", "output", None, "probability", None),
    ("softmax", "output", None, "probability", None),
    ("l2norm", "output", None, "cosine similarity", None),
    ("embedding", "output", None, "dot product", None),
    ("l2norm", "dot", UNIT, "cosine similarity", correlations),
    ("l2norm", "dot", PLAIN, "dot product", correlations),
    ("embedding", "dot", UNIT, "dot product", correlations),
    ("softmax", "dot", UNIT, "dot product", correlations),
    ("softmax", "largest", UNIT, "dot product", at_largest),
    ("embedding", "distance", PLAIN, "negative squared distance", distances),
    ("embedding", "cosine", PLAIN, "cosine similarity", cosines),
    *[("embedding", "distance_cosine", PLAIN, "negative distance / (2 + cosine)", by_both)],
]


@pytest.mark.parametrize(("ending", "decision", "vectors", "kind", "formula"), TABLE)
def test_top_classes_scores_and_kinds_of_scores(ending, decision, vectors, kind, formula):
    dimensions = 3 if vectors is None else 4
    model = network(ending, dimensions)
    output = Output(ending, decision, vectors)
    classifier = Classifier(model, describe(output))

    outputs = expected_outputs(ending, dimensions)
    expected = outputs if formula is None else formula(outputs, vectors)
    classes, scores = classifier.top(IMAGES, 2)

    assert classifier.score_kind == kind
    for row, best, values in zip(expected, classes, scores, strict=True):
        ranked = sorted(range(3), key=lambda c, row=row: -row[c])
        assert best.tolist() == ranked[:2]
        np.testing.assert_allclose(values, row[ranked[:2]], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(classifier.scores(IMAGES), expected, rtol=1e-4, atol=1e-5)

    as_layers = keras.Model(model.inputs, classifier.score_tensor(model.output))
    np.testing.assert_allclose(as_layers.predict_on_batch(IMAGES), expected, rtol=1e-4, atol=1e-5)


def test_the_first_of_equal_classes_wins():
    model = network("embedding", 4)
    vectors = np.stack([UNIT[0], UNIT[1], UNIT[1]])
    classes, _ = Classifier(model, describe(Output("embedding", "dot", vectors))).top(IMAGES, 3)
    places = [row.tolist() for row in classes]
    assert all(row.index(1) + 1 == row.index(2) for row in places)


def test_outputs_by_name_and_the_last_by_default():
    first = network("l2norm", 3)
    second = keras.layers.Dense(3, activation="softmax", name="prob")(first.output)
    model = keras.Model(first.input, [first.output, second])
    description = describe(Output("l2norm", "output"), Output("prob", "output"))

    assert Classifier(model, description).score_kind == "probability"
    by_name = Classifier(model, description, "l2norm")
    np.testing.assert_allclose(by_name.outputs(IMAGES), expected_outputs("l2norm", 3), rtol=1e-4)
    with pytest.raises(UsageError, match=r"unknown output 'x'; choose from: l2norm, prob"):
        Classifier(model, description, "x")


def test_a_diverged_model_is_refused():
    model = network("embedding", 3)
    model.get_layer("embedding").set_weights([np.full((3, 3), np.nan), np.zeros(3)])
    classifier = Classifier(model, describe(Output("embedding", "output")))
    with pytest.raises(UserError, match="the model computes values that are not finite"):
        classifier.top(IMAGES)


MANY = """
from tests.evaluation.test_prediction import IMAGES, Classifier, Output, describe, network
for _ in range(8):
    Classifier(network("prob", 3), describe(Output("prob", "output"))).scores(IMAGES)
"""


def test_many_models_in_one_process_give_no_warning():
    """Keras traces one function per model; TensorFlow takes them for the same one.

    It warns twice, then never again in a process: in this one it may have done so.
    """
    run = subprocess.run(
        [sys.executable, "-c", MANY], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "retracing" not in run.stderr
