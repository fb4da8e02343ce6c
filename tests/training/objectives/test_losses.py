"""Losses, label smoothing and decisions against NumPy."""

import keras
import numpy as np
import pytest

from embeddings import ClassEmbeddings, onehot
from models.decisions import DECISIONS
from training.objectives.losses import cross_entropy, negative_correlation, squared_distance
from training.objectives.metrics import ClassAccuracy
from training.objectives.objective import (
    cross_entropy_objective,
    embedding_objective,
    smoothed_onehot,
)

RNG = np.random.default_rng(7)


def compiled_loss(objective, predictions, labels):
    """The value that Keras minimizes for these predictions."""
    inputs = keras.Input((predictions.shape[1],))
    outputs = keras.layers.Identity(name="embedding")(inputs)
    model = keras.Model(inputs, outputs)
    model.compile(optimizer="sgd", **objective.compile_arguments(()))
    return model.evaluate(predictions, labels, verbose=0, return_dict=True)


@pytest.fixture(scope="module")
def semantic():
    vectors = RNG.normal(size=(5, 3)).astype("float32")
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return ClassEmbeddings(vectors, tuple("abcde"))


def test_cosine_loss_of_whole_batches(semantic):
    labels = RNG.integers(0, 5, 40)
    features = RNG.normal(size=(40, 3)).astype("float32")
    unit = features / np.sqrt((features**2).sum(1, keepdims=True))
    expected = np.mean([1 - unit[i] @ semantic.vectors[c] for i, c in enumerate(labels)])
    metrics = compiled_loss(embedding_objective(semantic), unit, labels)
    assert metrics["loss"] == pytest.approx(expected, abs=1e-6)


def test_mse_is_the_sum_over_dimensions(semantic):
    labels = RNG.integers(0, 5, 40)
    features = RNG.normal(size=(40, 3)).astype("float32")
    expected = np.mean(
        [((features[i] - semantic.vectors[c]) ** 2).sum() for i, c in enumerate(labels)]
    )
    metrics = compiled_loss(embedding_objective(semantic, "mse"), features, labels)
    assert metrics["loss"] == pytest.approx(expected, rel=1e-6)
    one = np.float32([[3.0, 4.0]])
    assert float(squared_distance(np.zeros((1, 2), "float32"), one)[0]) == 25.0


def test_correlation_ranges_from_zero_to_two():
    target = np.float32([[0.6, 0.8], [0.6, 0.8], [0.6, 0.8]])
    prediction = np.float32([[0.6, 0.8], [0.8, -0.6], [-0.6, -0.8]])
    values = keras.ops.convert_to_numpy(negative_correlation(target, prediction))
    np.testing.assert_allclose(values, [0, 1, 2], atol=1e-6)


@pytest.mark.parametrize(("classes", "smoothing"), [(100, 0.1), (2, 0.3), (7, 0.0)])
def test_label_smoothing_shares_e_among_the_other_classes(classes, smoothing):
    expected = np.full((classes, classes), smoothing / (classes - 1))
    np.fill_diagonal(expected, 1 - smoothing)
    np.testing.assert_allclose(smoothed_onehot(classes, smoothing), expected, rtol=1e-6)
    np.testing.assert_allclose(smoothed_onehot(classes, smoothing).sum(1), 1, rtol=1e-5)


def test_smoothed_cross_entropy_value():
    probabilities = RNG.dirichlet(np.ones(4), size=30).astype("float32")
    labels = RNG.integers(0, 4, 30)
    rows = []
    for p, c in zip(probabilities, labels, strict=True):
        others = sum(np.log(p[k]) for k in range(4) if k != c)
        rows.append(-0.9 * np.log(p[c]) - 0.1 / 3 * others)
    metrics = compiled_loss(cross_entropy_objective(4, 0.1), probabilities, labels)
    assert metrics["loss"] == pytest.approx(np.mean(rows), rel=1e-5)
    assert metrics["acc"] == pytest.approx(np.mean(probabilities.argmax(1) == labels))


def test_cross_entropy_is_clipped_as_in_keras_2():
    probabilities = np.float32([[1, 0], [0, 1], [0.25, 0.75]])
    targets = np.float32([[1, 0], [1, 0], [1, 0]])
    values = keras.ops.convert_to_numpy(cross_entropy(targets, probabilities))
    np.testing.assert_allclose(values, [0, -np.log(1e-7), -np.log(0.25)], atol=2e-6)


def test_saturated_outputs_cost_the_same_within_a_network():
    """Keras' own function would take the logits behind the softmax and return 50."""
    inputs = keras.Input((2,))
    outputs = keras.layers.Softmax(name="prob")(inputs)
    model = keras.Model(inputs, outputs)
    model.compile(optimizer="sgd", **cross_entropy_objective(2).compile_arguments(()))
    logits, labels = np.float32([[50, 0]]), np.array([1])
    assert model.evaluate(logits, labels, verbose=0)[0] == pytest.approx(-np.log(1e-7), rel=1e-5)


def nearest(predictions, vectors, rule):
    """Class by class and sample by sample, as the text of the paper says it."""
    if rule == "output":
        return predictions.argmax(1)
    if rule == "largest":
        places = [v.argmax() for v in vectors]
        return np.array([max(range(len(places)), key=lambda c: p[places[c]]) for p in predictions])
    norm = np.linalg.norm
    cost = {
        "dot": lambda p, c: -float(p @ c),
        "distance": lambda p, c: norm(p - c),
        "cosine": lambda p, c: -float(p @ c) / norm(c),
        "distance_cosine": lambda p, c: norm(p - c) / (2 + p @ c / norm(p) / norm(c)),
    }[rule]
    return np.array([np.argmin([cost(p, c) for c in vectors]) for p in predictions])


@pytest.mark.parametrize("rule", sorted(DECISIONS))
def test_accuracy_of_each_decision_rule(rule):
    # Lengths differ, so dot product and distance disagree.
    vectors = (RNG.normal(size=(6, 6)) * RNG.uniform(0.2, 3, (6, 1))).astype("float32")
    labels = RNG.integers(0, 6, 300)
    predictions = (vectors[labels] + RNG.normal(size=(300, 6))).astype("float32")
    metric = ClassAccuracy(vectors, rule)
    for part in np.array_split(np.arange(300), 7):
        metric.update_state(labels[part], predictions[part])
    expected = np.mean(nearest(predictions, vectors, rule) == labels)
    assert 0.02 < expected < 0.95
    assert float(metric.result()) == pytest.approx(expected, abs=1e-6)


def test_the_rules_disagree_where_lengths_differ():
    vectors = np.float32([[1, 0], [0, 3]])
    prediction = np.float32([[0.9, 0.5]])
    chosen = {
        rule: int(keras.ops.argmax(decision.scores(prediction, vectors), axis=-1)[0])
        for rule, decision in DECISIONS.items()
    }
    assert chosen == {
        **{"output": 0, "largest": 0, "dot": 1, "distance": 0},
        **{"cosine": 0, "distance_cosine": 0},
    }


@pytest.mark.parametrize("shape", [(4, 4), (4, 6), (4, 3)])
def test_softmax_corr_is_decided_by_the_largest_element_as_published(shape):
    """Keras 2's accuracy: arg-max of output and of target agree; here the first class wins."""
    vectors = RNG.normal(size=shape).astype("float32")
    vectors[2] = vectors[0]
    embeddings = ClassEmbeddings(vectors, tuple(range(4)))
    (term,) = embedding_objective(embeddings, "softmax_corr").terms
    outputs = RNG.dirichlet(np.ones(shape[1]), 200).astype("float32")
    labels = RNG.integers(0, 4, 200)
    (metric,) = term.metrics(())
    metric.update_state(labels, outputs)
    published = vectors[labels].argmax(axis=1) == outputs.argmax(axis=1)
    chosen = term.scores(outputs).argmax(axis=1)
    assert float(metric.result()) == pytest.approx(np.mean(chosen == labels))
    first = {place: c for c, place in reversed([*enumerate(vectors.argmax(axis=1))])}
    reachable = np.isin(outputs.argmax(axis=1), list(first))
    wanted = [first[place] for place in outputs.argmax(axis=1)[reachable]]
    np.testing.assert_array_equal(chosen[reachable], wanted)
    assert not (chosen[reachable] == labels[reachable])[~published[reachable]].any()


def test_top_k_counts_the_k_best():
    vectors = np.eye(8, dtype="float32")
    predictions = RNG.normal(size=(200, 8)).astype("float32")
    labels = RNG.integers(0, 8, 200)
    ranks = np.argsort(-predictions, axis=1)
    for k in (2, 5, 8, 20):
        metric = ClassAccuracy(vectors, "output", k, f"acc{k}")
        metric.update_state(labels, predictions)
        expected = np.mean([labels[i] in ranks[i, :k] for i in range(200)])
        assert float(metric.result()) == pytest.approx(expected)


@pytest.mark.parametrize("decision", ["dot", "distance"])
@pytest.mark.parametrize("k", [1, 2])
def test_of_classes_with_equal_vectors_the_first_is_named(decision, k):
    """Name the first class, as every other accuracy does."""
    vectors = np.float32([[1, 0], [0, 1], [0, 1], [0, 1]])
    labels = np.array([0, 1, 2, 3])
    scores = keras.ops.convert_to_numpy(DECISIONS[decision].scores(vectors[labels], vectors))
    metric = ClassAccuracy(vectors, decision, k)
    metric.update_state(labels, vectors[labels])
    named = [labels[i] in np.argsort(-scores[i], kind="stable")[:k] for i in range(4)]
    assert named == [True, True, k == 2, False]
    assert float(metric.result()) == np.mean(named)


def test_onehot_embeddings_are_decided_by_the_largest_output():
    (term,) = embedding_objective(onehot(range(3)), "mse").terms
    assert term.decision == "output"
    outputs = np.float32([[0, 0, 1], [1, 0, 0]])
    losses = term.loss(np.array([2, 2]), keras.ops.convert_to_tensor(outputs))
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(losses), [0, 2])


def test_the_head_adds_its_weighted_cross_entropy(semantic):
    objective = embedding_objective(semantic, cls_weight=0.1)
    inputs = keras.Input((3,))
    first = keras.layers.Identity(name="l2norm")(inputs)
    second = keras.layers.Dense(5, activation="softmax", name="prob")(first)
    model = keras.Model(inputs, [first, second])
    model.compile(optimizer="sgd", **objective.compile_arguments((2,)))
    x = RNG.normal(size=(50, 3)).astype("float32")
    labels = RNG.integers(0, 5, 50)
    metrics = model.evaluate(x, [labels, labels], verbose=0, return_dict=True, batch_size=50)
    embedded, probabilities = model.predict(x, verbose=0)
    cosine = np.mean(1 - (embedded * semantic.vectors[labels]).sum(1))
    entropy = -np.mean(np.log(probabilities[np.arange(50), labels]))
    assert metrics["loss"] == pytest.approx(cosine + 0.1 * entropy, rel=1e-5)
    assert metrics["prob_loss"] == pytest.approx(entropy, rel=1e-5)
    assert {"l2norm_acc", "prob_acc", "l2norm_acc2", "prob_acc2"} < set(metrics)


@pytest.mark.parametrize("weights", [[1, 1, 1, 1, 1], [0.5, 2, 1, 0.25, 3]])
def test_class_weights_are_factors_in_all_terms(semantic, weights):
    objective = embedding_objective(semantic, cls_weight=0.1).weighted(np.float32(weights))
    labels = RNG.integers(0, 5, 30)
    embedded = RNG.normal(size=(30, 3)).astype("float32")
    probabilities = RNG.dirichlet(np.ones(5), 30).astype("float32")
    factors = np.array(weights)[labels]
    cosine = factors * (1 - (embedded * semantic.vectors[labels]).sum(1))
    entropy = factors * -np.log(probabilities[np.arange(30), labels])
    for term, outputs, expected in zip(
        objective.terms, (embedded, probabilities), (cosine, entropy), strict=True
    ):
        tensors = [keras.ops.convert_to_tensor(values) for values in (labels, outputs)]
        found = keras.ops.convert_to_numpy(term.training_loss(*tensors))
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
        # What an evaluation reports has no weights.
        plain = keras.ops.convert_to_numpy(term.loss(*tensors))
        np.testing.assert_allclose(plain * factors, expected, rtol=1e-4, atol=1e-6)


def test_the_weighted_loss_is_the_mean_over_the_batch():
    objective = cross_entropy_objective(3).weighted(np.float32([4, 1, 0.5]))
    probabilities = np.float32([[0.5, 0.25, 0.25], [0.5, 0.25, 0.25]])
    metrics = compiled_loss(objective, probabilities, np.array([0, 1]))
    assert metrics["loss"] == pytest.approx((4 * np.log(2) + np.log(4)) / 2, rel=1e-6)
    assert metrics["acc"] == 0.5


@pytest.mark.parametrize("mode", ["loss", "normalized"])
def test_class_weights_of_mixed_samples_are_mixed(semantic, mode):
    weights = np.float32([0.5, 2, 1, 0.25, 3])
    outputs = RNG.normal(size=(4, 3)).astype("float32")
    labels = np.float32([[0, 1, 0.25], [2, 2, 0.5], [4, 3, 0.0], [1, 4, 1.0]])
    term = embedding_objective(semantic, mixed=mode).weighted(weights).terms[0]
    tensors = [keras.ops.convert_to_tensor(values) for values in (labels, outputs)]
    found = keras.ops.convert_to_numpy(term.training_loss(*tensors))
    for value, (a, b, share), output in zip(found, labels, outputs, strict=True):
        one, other = semantic.vectors[int(a)], semantic.vectors[int(b)]
        factors = (1 - share) * weights[int(a)], share * weights[int(b)]
        if mode == "loss":
            expected = factors[0] * (1 - one @ output) + factors[1] * (1 - other @ output)
        else:
            target = (1 - share) * one + share * other
            expected = sum(factors) * (1 - target @ output / np.linalg.norm(target))
        assert value == pytest.approx(expected, rel=1e-4, abs=1e-6)
