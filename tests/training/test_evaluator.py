"""Metrics of a split count every sample the same, after every epoch and at the end."""

import keras
import numpy as np
import pytest

import learn_image_embeddings
from datasets.base import Split
from datasets.batches import Batches
from embeddings import ClassEmbeddings, onehot
from evaluation.classification.evaluator import Evaluator
from tests.commands.running import TINY, history, record, succeed
from training.objectives.objective import embedding_objective

CLASSES, SAMPLES = 4, 11


def network() -> keras.Model:
    """Two outputs, and a penalty on one of them."""
    image = keras.Input((2, 2, 1))
    flat = keras.layers.Flatten()(image)
    features = keras.layers.Dense(CLASSES, name="embedding")(flat)
    vector = keras.layers.UnitNormalization(name="l2norm")(features)
    penalty = keras.regularizers.L2(0.01)
    prob = keras.layers.Dense(CLASSES, "softmax", kernel_regularizer=penalty, name="prob")
    return keras.Model(image, [vector, prob(vector)])


@pytest.mark.parametrize("batch_size", [1, 4, 11, 20])
def test_every_sample_counts_the_same(batch_size):
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (SAMPLES, 2, 2, 1), np.uint8)
    labels = rng.integers(0, CLASSES, SAMPLES)
    model = network()
    objective = embedding_objective(onehot(range(CLASSES)), cls_weight=0.1)
    split = Split.whole(images, labels, [str(i) for i in range(SAMPLES)])
    batches = Batches(split, lambda image, rng: image, batch_size)
    metrics = Evaluator(model, objective.heads(model), top_k=(2,))(batches)

    kernels = {layer.name: layer.get_weights() for layer in model.layers if layer.weights}
    x = images.reshape(SAMPLES, -1).astype(np.float64)
    embedding = x @ kernels["embedding"][0] + kernels["embedding"][1]
    vectors = embedding / np.linalg.norm(embedding, axis=1, keepdims=True)
    logits = vectors @ kernels["prob"][0] + kernels["prob"][1]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    true = np.arange(SAMPLES), labels
    cosine, xent = 1 - vectors[true], -np.log(probabilities[true])
    second = np.sort(probabilities, axis=1)[:, -2]
    expected = {
        "loss": cosine.mean() + 0.1 * xent.mean() + 0.01 * (kernels["prob"][0] ** 2).sum(),
        "l2norm_loss": cosine.mean(),
        "prob_loss": xent.mean(),
        "l2norm_acc": np.mean(vectors.argmax(axis=1) == labels),
        "prob_acc": np.mean(probabilities.argmax(axis=1) == labels),
        "prob_acc2": np.mean(probabilities[true] >= second),
    }
    for name, value in expected.items():
        assert metrics.values[name] == pytest.approx(value, rel=1e-5), name
    hits = probabilities.argmax(axis=1) == labels
    per_class = [hits[labels == c].mean() for c in np.unique(labels)]
    assert metrics.average_accuracy == pytest.approx(np.mean(per_class))


def test_the_last_epoch_is_evaluated_like_the_final_network(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    succeed(
        learn_image_embeddings,
        f"{TINY} --val_batch_size 100 --embedding onehot --cls_weight 0.1 --epochs 2 "
        "--history h.csv",
    )
    last = {n[4:]: v for n, v in history(tmp_path / "h.csv")[-1].items() if n.startswith("val_")}
    final = record(tmp_path / "h.csv")["final"]
    final.pop("average_accuracy")
    assert last == pytest.approx(final, rel=1e-6) and len(last) == 5


def test_classes_with_equal_vectors_count_the_same_in_every_accuracy():
    """Name the first of these classes, not the target of the sample."""
    image = keras.Input((1, 1, 3))
    model = keras.Model(image, keras.layers.Flatten(name="embedding")(image))
    vectors = np.float32([[1, 0, 0], [0, 1, 0], [0, 1, 0]])
    labels = np.array([0, 0, 1, 1, 2, 2])
    split = Split.whole(vectors[labels].reshape(6, 1, 1, 3), labels, [str(i) for i in range(6)])
    batches = Batches(split, lambda image, rng: image, 4)
    objective = embedding_objective(ClassEmbeddings(vectors, tuple("abc")), "unnorm_corr")
    metrics = Evaluator(model, objective.heads(model), top_k=(2,))(batches)
    assert metrics.values == {"loss": 0, "acc": pytest.approx(2 / 3), "acc2": 1}
    assert metrics.average_accuracy == pytest.approx(2 / 3)

    model.compile(optimizer="sgd", **objective.compile_arguments((2,)))
    trained = model.evaluate(split.samples, labels, verbose=0, return_dict=True)
    assert trained == pytest.approx(metrics.values)
