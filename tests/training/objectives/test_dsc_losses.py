"""Losses of the Deep Simplex Classifier: the published sums over a batch, and their gradients."""

import keras
import numpy as np
import pytest

from datasets.batches import BACKGROUND
from embeddings import ClassEmbeddings, onehot
from embeddings.simplex import simplex
from training.objectives.objective import embedding_objective
from utils import UsageError

RNG = np.random.default_rng(5)


def squared(a, b):
    return sum((x - y) ** 2 for x, y in zip(a, b, strict=True))


# As published: functions of the embeddings of a batch (B, k), its classes, all centers, the margin.
def default(f, labels, centers, m):
    batch, k = f.shape
    return sum(squared(f[i], centers[c]) for i, c in enumerate(labels)) / (batch * k)


def hinge(f, labels, centers, m):
    if m is None:
        m = np.sqrt(squared(centers[0], centers[1])) / 10
    beyond = [max(0.0, squared(f[i], centers[c]) - m) for i, c in enumerate(labels)]
    return sum(beyond) / (4 * len(f))


def softmax(f, labels, centers, m):
    total = 0.0
    for i, c in enumerate(labels):
        powers = [np.exp(f[i] @ center) for center in centers]
        total -= np.log(powers[c] / sum(powers))
    return total / (len(f) * len(centers))


def open_set(f, labels, centers, m):
    batch, k = f.shape
    m = 48 if m is None else m
    intra = inter = 0.0
    for i, c in enumerate(labels):
        own = squared(f[i], centers[c])
        intra += own / (2 * batch * k)
        for j in range(len(centers)):
            if j != c:
                inter += max(0.0, m + own - squared(f[i], centers[j])) / (2 * len(centers) * batch)
    return intra + inter


PUBLISHED = {"dsc": default, "dsc_hinge": hinge, "dsc_softmax": softmax, "dsc_open": open_set}
MARGINS = {"dsc_hinge": (None, 2.0), "dsc_open": (None, 20.0)}
CASES = [(name, margin) for name in PUBLISHED for margin in MARGINS.get(name, (None,))]

SIMPLEX = simplex(range(6), 7).scaled(6)
LABELS = np.array([0, 5, 2, 2, 4, 1, 3, 5])
# From very near their centers to far from them, so that hinges are met and not met.
NEAR = RNG.normal(size=(8, 7)) * np.geomspace(0.05, 4, 8)[:, None]
FEATURES = (SIMPLEX.vectors[LABELS] + NEAR).astype(np.float32)


def network(objective, rate=0.0):
    """Features that are the weights of the network: a step of rate 1 subtracts the gradient."""
    inputs = keras.Input((len(LABELS),))
    outputs = keras.layers.Dense(7, use_bias=False, name="embedding")(inputs)
    model = keras.Model(inputs, outputs)
    model.get_layer("embedding").set_weights([FEATURES])
    model.compile(keras.optimizers.SGD(rate), **objective.compile_arguments(()))
    return model


KNOWN = np.array([True, True, False, True, False, False, True, True])


def with_background(f, labels, centers, m, is_known=KNOWN):
    """The first two terms of the known images, and the third of every pair with a background."""
    known, others = f[is_known], f[~is_known]
    pairs = 0.0
    for x, c in zip(known, labels[is_known], strict=True):
        for g in others:
            pairs += max(0.0, m + squared(x, centers[c]) - squared(g, centers[c]))
    return open_set(known, labels[is_known], centers, m) + pairs / (2 * len(known) * len(others))


ONE_EACH = np.eye(len(LABELS), dtype=np.float32)


@pytest.mark.parametrize(("name", "margin"), CASES)
def test_values_as_published(name, margin):
    objective = embedding_objective(SIMPLEX, name, margin=margin)
    found = network(objective).evaluate(ONE_EACH, LABELS, verbose=0, return_dict=True)
    centers = SIMPLEX.vectors.astype(float)
    expected = PUBLISHED[name](FEATURES.astype(float), LABELS, centers, margin)
    assert expected > 0
    assert found["loss"] == pytest.approx(expected, rel=1e-5)
    nearest = [np.argmin([squared(f, c) for c in SIMPLEX.vectors]) for f in FEATURES]
    assert found["acc"] == pytest.approx(np.mean(nearest == LABELS))


WEIGHTS = np.float32([0.5, 3, 1, 0.25, 2, 4])


@pytest.mark.parametrize(("name", "margin"), CASES)
def test_class_weights_are_factors_of_the_samples_losses(name, margin):
    objective = embedding_objective(SIMPLEX, name, margin=margin).weighted(WEIGHTS)
    found = network(objective).evaluate(ONE_EACH, LABELS, verbose=0, return_dict=True)
    features, centers = FEATURES.astype(float), SIMPLEX.vectors.astype(float)
    each = [
        PUBLISHED[name](features[[i]], LABELS[[i]], centers, margin) for i in range(len(LABELS))
    ]
    assert found["loss"] == pytest.approx(np.mean(WEIGHTS[LABELS] * each), rel=1e-5)


def test_the_weighted_loss_of_batches_with_background_is_the_mean_over_known_images():
    objective = embedding_objective(SIMPLEX, "dsc_open", margin=60.0, with_background=True)
    labels = np.where(KNOWN, LABELS, BACKGROUND)
    model = network(objective.weighted(WEIGHTS))
    found = model.evaluate(ONE_EACH, labels, verbose=0, return_dict=True)
    centers, features = SIMPLEX.vectors.astype(float), FEATURES.astype(float)
    known = np.flatnonzero(KNOWN)
    expected = 0.0
    for one in known:
        others = [i for i in known if i != one]
        rest = np.delete(np.arange(len(LABELS)), others)
        keep = np.isin(rest, known)
        expected += WEIGHTS[LABELS[one]] * with_background(
            *(features[rest], LABELS[rest], centers, 60.0), keep
        )
    assert found["loss"] == pytest.approx(expected / len(known), rel=1e-5)


@pytest.mark.parametrize(("name", "margin"), CASES)
def test_gradients_are_those_of_finite_differences(name, margin):
    model = network(embedding_objective(SIMPLEX, name, margin=margin), rate=1.0)
    model.train_on_batch(ONE_EACH, LABELS)
    (after,) = model.get_weights()
    centers, features = SIMPLEX.vectors.astype(float), FEATURES.astype(float)
    expected = np.zeros_like(features)
    for place in np.ndindex(features.shape):
        step = np.zeros_like(features)
        step[place] = 1e-5
        sides = [PUBLISHED[name](features + s, LABELS, centers, margin) for s in (step, -step)]
        expected[place] = (sides[0] - sides[1]) / 2e-5
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(FEATURES - after, expected, atol=3e-6)


def test_background_images_are_pushed_away_and_do_not_count_otherwise():
    objective = embedding_objective(SIMPLEX, "dsc_open", margin=60.0, with_background=True)
    labels = np.where(KNOWN, LABELS, BACKGROUND)
    model = network(objective, rate=1.0)
    found = model.train_on_batch(ONE_EACH, labels, return_dict=True)
    (after,) = model.get_weights()
    centers, features = SIMPLEX.vectors.astype(float), FEATURES.astype(float)
    assert with_background(features, LABELS, centers, 0) != open_set(features, LABELS, centers, 0)
    expected = with_background(features, LABELS, centers, 60)
    assert found["loss"] == pytest.approx(expected, rel=1e-5)
    nearest = np.array([np.argmin([squared(f, c) for c in centers]) for f in features])
    assert found["acc"] == pytest.approx(np.mean((nearest == LABELS)[KNOWN]))
    gradient = np.zeros_like(features)
    for place in np.ndindex(features.shape):
        step = np.zeros_like(features)
        step[place] = 1e-5
        sides = [with_background(features + s, LABELS, centers, 60) for s in (step, -step)]
        gradient[place] = (sides[0] - sides[1]) / 2e-5
    assert np.abs(gradient[~KNOWN]).max() > 0.01
    np.testing.assert_allclose(FEATURES - after, gradient, atol=3e-6)


def test_an_additional_classifier_learns_from_known_images_only():
    objective = embedding_objective(SIMPLEX, "dsc_open", 0.5, 60.0, with_background=True)
    labels = keras.ops.convert_to_tensor(np.where(KNOWN, LABELS, BACKGROUND))
    probabilities = RNG.dirichlet(np.ones(6), len(LABELS)).astype("float32")
    losses = objective.terms[1].training_loss(labels, keras.ops.convert_to_tensor(probabilities))
    expected = -np.mean(np.log(probabilities[KNOWN, LABELS[KNOWN]]))
    assert float(keras.ops.mean(losses)) == pytest.approx(expected, rel=1e-5)


def test_the_published_margin_of_the_hinge():
    """A tenth of the distance of two centers: 0.8660 for three in the plane, radius 5."""
    (term,) = embedding_objective(simplex("abc", 2).scaled(5), "dsc_hinge").terms
    assert term.function.keywords == {"margin": pytest.approx(0.8660, abs=5e-5)}


def test_the_softmax_does_not_overflow():
    far = simplex("abc", 2).scaled(1000)
    (term,) = embedding_objective(far, "dsc_softmax").terms
    losses = term.loss(np.array([0, 1]), keras.ops.convert_to_tensor(far.vectors[[0, 2]]))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(losses), [0, 1.5e6 / 3], rtol=1e-5)


def test_scaled_one_hot_targets_are_decided_by_distance():
    """Scaled targets are kept with the model; unit vectors need not be."""
    (term,) = embedding_objective(onehot(range(4)).scaled(10), "dsc_hinge").terms
    assert term.decision == "distance"
    losses = term.loss(np.array([1]), keras.ops.convert_to_tensor(np.float32([[3, 6, 0, 0]])))
    np.testing.assert_allclose(losses, [(9 + 16 - np.sqrt(200) / 10) / 4], rtol=1e-6)


@pytest.mark.parametrize(("classes", "dimensions", "distance"), [(4, 128, "32.25"), (2, 1, "16")])
def test_a_margin_that_no_centers_can_reach_is_refused(classes, dimensions, distance):
    """The published margin of 48 and radius, the number of classes, do not fit few classes."""
    centers = simplex(range(classes), dimensions).scaled(classes)
    with pytest.raises(UsageError, match=rf"--margin 48: .* is {distance}"):
        embedding_objective(centers, "dsc_open")
    embedding_objective(simplex(range(6), 128).scaled(6), "dsc_open")


def test_the_hinge_of_unequal_distances_needs_a_margin():
    uneven = ClassEmbeddings(np.float32([[1, 0], [0, 1], [0, -1]]), tuple("abc"))
    with pytest.raises(UsageError, match=r"squared distances from 2 to 4: give --margin"):
        embedding_objective(uneven, "dsc_hinge")
    embedding_objective(uneven, "dsc_hinge", margin=0.1)
    alone = ClassEmbeddings(np.float32([[1, 0]]), ("a",))
    embedding_objective(alone, "dsc_hinge")
