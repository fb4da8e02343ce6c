"""Losses, gradients and accuracies of mixed labels against NumPy."""

import keras
import numpy as np
import pytest

from embeddings import ClassEmbeddings, onehot
from training.objectives import EMBEDDING_LOSSES
from training.objectives.metrics import MixedAccuracy
from training.objectives.objective import (
    cross_entropy_objective,
    embedding_objective,
    smoothed_onehot,
)

RNG = np.random.default_rng(11)
FIRST, SECOND = np.array([0, 3, 2, 4]), np.array([1, 3, 4, 0])
SHARE = np.float32([0.25, 0.4, 0.0, 1.0])
LABELS = np.stack([FIRST, SECOND, SHARE], axis=1).astype(np.float32)


def unit(values):
    return values / np.linalg.norm(values, axis=1, keepdims=True)


VECTORS = unit(RNG.normal(size=(5, 3))).astype(np.float32)
SEMANTIC = ClassEmbeddings(VECTORS, tuple("abcde"))
EMBEDDINGS = unit(RNG.normal(size=(4, 3))).astype(np.float32)


def losses(objective, predictions, labels=LABELS, term=0):
    values = objective.terms[term].training_loss(
        keras.ops.convert_to_tensor(labels), keras.ops.convert_to_tensor(predictions)
    )
    return keras.ops.convert_to_numpy(values)


def step(objective, start):
    """The gradient that a step of gradient descent at rate 1 takes from the mean loss, times b."""
    layer = keras.layers.Embedding(len(start), start.shape[1], name="table")
    inputs = keras.Input(())
    model = keras.Model(inputs, layer(inputs))
    layer.set_weights([start])
    model.compile(keras.optimizers.SGD(1.0), **objective.compile_arguments(()))
    model.fit(np.arange(len(start)), LABELS, len(start), shuffle=False, verbose=0)
    return (start - layer.get_weights()[0]) * len(start)


def test_mix_of_losses_of_the_cosine_loss():
    objective = embedding_objective(SEMANTIC, mixed="loss")
    a, b = VECTORS[FIRST], VECTORS[SECOND]
    share = SHARE[:, None]
    cosines = [np.sum(EMBEDDINGS * target, axis=1) for target in (a, b)]
    expected = (1 - SHARE) * (1 - cosines[0]) + SHARE * (1 - cosines[1])
    np.testing.assert_allclose(losses(objective, EMBEDDINGS), expected, atol=1e-6)
    np.testing.assert_allclose(
        step(objective, EMBEDDINGS), -((1 - share) * a + share * b), atol=1e-5
    )


def test_normalized_target_of_the_cosine_loss():
    objective = embedding_objective(SEMANTIC, mixed="normalized")
    share = SHARE[:, None].astype(float)
    target = unit((1 - share) * VECTORS[FIRST] + share * VECTORS[SECOND])
    expected = 1 - np.sum(EMBEDDINGS * target, axis=1)
    np.testing.assert_allclose(losses(objective, EMBEDDINGS), expected, atol=1e-6)
    np.testing.assert_allclose(step(objective, EMBEDDINGS), -target, atol=1e-5)
    # At its target the loss is 0, where that of the mix of losses is 1 - ||mix||.
    np.testing.assert_allclose(losses(objective, np.float32(target)), 0, atol=1e-6)
    half = np.float32([[0, 1, 0.5]])
    mixed = embedding_objective(onehot(range(5)), mixed="loss")
    best = np.float32([[1, 1, 0, 0, 0]]) / np.sqrt(2).astype(np.float32)
    assert losses(mixed, best, half)[0] == pytest.approx(0.2929, abs=1e-4)


def test_normalized_targets_keep_the_length_of_class_embeddings():
    for loss, per_dimension in (("mse", 1), ("dsc", 3)):
        objective = embedding_objective(SEMANTIC.scaled(7.0), loss, mixed="normalized")
        share = SHARE[:, None].astype(float)
        target = 7 * unit((1 - share) * VECTORS[FIRST] + share * VECTORS[SECOND])
        expected = np.sum((EMBEDDINGS - target) ** 2, axis=1) / per_dimension
        np.testing.assert_allclose(losses(objective, EMBEDDINGS), expected, rtol=1e-5)


def test_opposite_class_embeddings_have_a_normalized_target_without_a_direction():
    opposite = ClassEmbeddings(np.float32([[1, 0], [-1, 0]]), (0, 1))
    objective = embedding_objective(opposite, mixed="normalized")
    values = losses(objective, np.float32([[0.6, 0.8]]), np.float32([[0, 1, 0.5]]))
    np.testing.assert_allclose(values, 1)


def test_cross_entropy_of_mixed_labels_with_label_smoothing():
    probabilities = RNG.dirichlet(np.ones(5), size=4).astype(np.float32)
    logs = np.log(probabilities)
    plain = [-logs[np.arange(4), labels] for labels in (FIRST, SECOND)]
    expected = (1 - SHARE) * plain[0] + SHARE * plain[1]
    actual = losses(cross_entropy_objective(5, mixed=True), probabilities)
    np.testing.assert_allclose(actual, expected, rtol=1e-5)
    smooth = [-np.sum(smoothed_onehot(5, 0.2)[c] * logs, axis=1) for c in (FIRST, SECOND)]
    expected = (1 - SHARE) * smooth[0] + SHARE * smooth[1]
    actual = losses(cross_entropy_objective(5, 0.2, mixed=True), probabilities)
    np.testing.assert_allclose(actual, expected, rtol=1e-5)
    both = embedding_objective(SEMANTIC, cls_weight=0.1, mixed="normalized")
    expected = (1 - SHARE) * plain[0] + SHARE * plain[1]
    np.testing.assert_allclose(losses(both, probabilities, term=1), expected, rtol=1e-5)


@pytest.mark.parametrize("loss", EMBEDDING_LOSSES)
def test_every_loss_of_a_mix_is_that_of_both_classes(loss):
    targets = onehot(range(5)).scaled(6.0)
    predictions = RNG.dirichlet(np.ones(5), size=4).astype(np.float32)
    mixed = embedding_objective(targets, loss, margin=None, mixed="loss")
    alone = embedding_objective(targets, loss, margin=None)
    of_first, of_second = (losses(alone, predictions, labels) for labels in (FIRST, SECOND))
    expected = (1 - SHARE) * of_first + SHARE * of_second
    np.testing.assert_allclose(losses(mixed, predictions), expected, rtol=1e-5, atol=1e-6)


def test_mixed_accuracy_is_the_share_of_the_label_that_is_named():
    scores = np.float32([[0, 9, 8, 0, 0], [0, 0, 0, 5, 0], [1, 2, 3, 4, 5], [9, 8, 7, 6, 5]])
    metric = MixedAccuracy(np.eye(5), "output")
    metric.update_state(LABELS, scores)
    assert float(metric.result()) == pytest.approx((0.25 + 1 + 0 + 1) / 4)
    top = MixedAccuracy(np.eye(5), "output", k=3)
    top.update_state(LABELS, scores)  # classes 1, 2 and 0; 3 …; 4, 3, 2; 0 …
    assert float(top.result()) == pytest.approx((1 + 1 + 1 + 1) / 4)


def test_accuracies_of_mixed_labels_have_different_names():
    objective = embedding_objective(SEMANTIC, cls_weight=0.1, mixed="loss")
    names = objective.metric_names(["l2norm", "prob"], (3,))
    assert "prob_mixed_acc3" in names and "val_prob_acc3" in names
    assert "prob_acc3" not in names and "val_prob_mixed_acc3" not in names
    assert {"loss", "prob_loss", "val_l2norm_loss"} <= set(names)
    plain = cross_entropy_objective(5).metric_names(["prob"], ())
    assert plain == ["loss", "acc", "val_loss", "val_acc"]
