"""Classes and image sizes of evaluated models, and scores of each classifier."""

import dataclasses
import logging
from pathlib import Path

import keras
import numpy as np
import pytest

from datasets import get_dataset
from embeddings import ClassEmbeddings
from evaluation.classification import matching, reports
from evaluation.classification.classifiers import (
    LinearSVM,
    MethodArgs,
    largest_value,
    nearest_centroid,
    own_decision,
)
from evaluation.classification.models import evaluate_model
from evaluation.features import feature_tensor
from evaluation.loading import LoaderOptions
from models import build_backbone
from models.files.description import ModelDescription, Output
from tests import fake_data
from utils import UsageError, UserError

A, B = Path("a.keras"), Path("b.keras")


def described(labels, names=None, **more) -> ModelDescription:
    names = tuple(names or map(str, labels))
    fields = {
        "channels": 1,
        "target_size": 8,
        "crop_size": 8,
        "outputs": (Output("prob", "output"),),
    }
    return ModelDescription("Digits", tuple(labels), names, **fields | more)


@pytest.fixture(scope="module")
def digits():
    return get_dataset("Digits")


def test_classes_are_those_of_the_first_model_in_its_order(digits):
    found = matching.matched(digits, {A: described([7, 3, 1]), B: described([1, 3, 7])})
    assert found.labels == (7, 3, 1)
    whole = np.array(digits.labels)[digits.test.labels]
    kept = np.array(found.labels)[found.test.labels]
    np.testing.assert_array_equal(kept, whole[np.isin(whole, [1, 3, 7])])


def test_a_list_restricts_models_that_know_more(digits):
    models = {A: described(range(10)), B: described([3, 1, 0])}
    assert matching.matched(digits, models, ["0", "3"]).labels == (0, 3)


@pytest.mark.parametrize(
    ("models", "class_list", "named"),
    [
        ({A: described([1, 2]), B: described([1, 2, 3])}, None, "b.keras"),
        ({A: described([1, 2, 3]), B: described([1, 2])}, None, "b.keras"),
        ({A: described([1, 2])}, ["1", "3"], "a.keras"),
        ({A: described([1, "owl"])}, None, "owl"),
        ({A: described([1, 2], channels=3)}, None, "a.keras takes images with 3 channels"),
    ],
)
def test_classes_that_do_not_fit_are_refused(digits, models, class_list, named):
    with pytest.raises(UsageError, match=named):
        matching.matched(digits, models, class_list)


def test_equal_labels_of_different_classes_are_detected(tmp_path, caplog):
    birds = get_dataset("CUB", fake_data.write_cub(tmp_path))
    cars = described([1, 2, 3], ["Audi", "BMW", "Fiat"], channels=3)
    with pytest.raises(UsageError, match="'Audi'"):
        matching.matched(birds, {A: cars})
    renamed = described([1, 2, 3], [*birds.class_names[:2], "Penguin"], channels=3)
    with caplog.at_level(logging.WARNING):
        assert matching.matched(birds, {A: renamed}).labels == (1, 2, 3)
    assert "1 of 3 classes" in caplog.text
    assert "Penguin" in caplog.text


def test_images_have_the_size_that_the_model_was_trained_on(tmp_path, digits):
    folder = get_dataset("Folder", fake_data.write_folder(tmp_path))
    small = described([1], target_size=20, crop_size=16)
    sizes = matching.with_input_of(folder, small).preprocessing
    assert (sizes.train_size, sizes.test_size, sizes.crop_size) == (20, 20, 16)
    assert matching.with_input_of(digits, small).preprocessing == digits.preprocessing
    birds = get_dataset("NAB", fake_data.write_nab(tmp_path / "nab"))
    published = described([1], target_size=256, crop_size=224)
    assert matching.with_input_of(birds, published).preprocessing.train_size == (256, 480)


@pytest.fixture(scope="module")
def network():
    """Two outputs: an embedding of 3 dimensions and probabilities of 4 classes."""
    inputs = keras.Input((None, None, 1))
    maps = keras.layers.Conv2D(5, 3, name="maps")(inputs)
    x = keras.layers.GlobalAveragePooling2D(name="pooled")(maps)
    embedding = keras.layers.Dense(3, name="embedding")(x)
    prob = keras.layers.Dense(4, activation="softmax", name="prob")(embedding)
    return keras.Model(inputs, [embedding, prob])


FEATURES = np.random.default_rng(2).normal(size=(30, 3)).astype(np.float32)
VECTORS = np.random.default_rng(3).normal(size=(4, 3)).astype(np.float32) * [[1], [2], [3], [4]]


def method_args(network, *outputs: Output, **more) -> MethodArgs:
    return MethodArgs(network, described("abcd", outputs=outputs), tuple("cab"), **more)


def by_distance(features):
    return [[-np.sum((f - VECTORS[i]) ** 2) for i in (2, 0, 1)] for f in features]


def by_product(features):
    return [[float(f @ VECTORS[i]) for i in (2, 0, 1)] for f in features]


@pytest.mark.parametrize(("decision", "slow"), [("dot", by_product), ("distance", by_distance)])
def test_the_model_s_own_rule_among_some_classes(network, decision, slow):
    output = Output("embedding", decision, VECTORS.astype(np.float32))
    found = own_decision(method_args(network, output)).scores(FEATURES)
    order = np.argsort(slow(FEATURES), axis=1)
    np.testing.assert_array_equal(np.argsort(found, axis=1), order)


def test_probabilities_are_taken_as_they_are(network):
    classifier = own_decision(
        method_args(network, Output("embedding", "dot"), Output("prob", "output"))
    )
    assert classifier.tensor is network.outputs[1]
    np.testing.assert_array_equal(classifier.scores(np.array([[1, 2, 3, 4.0]])), [[3, 1, 2]])


def test_a_model_that_goes_by_distance_is_evaluated_by_angles_too(digits):
    """Class vectors of several lengths, by which the three rules differ."""
    rng = np.random.default_rng(4)
    vectors = (rng.normal(size=(10, 64)) * np.geomspace(20, 90, 10)[:, None]).astype(np.float32)
    inputs = keras.Input((8, 8, 1))
    outputs = keras.layers.Flatten(name="embedding")(inputs)
    network = keras.Model(inputs, outputs)
    images = np.stack(list(digits.test)).reshape(-1, 64).astype(float)
    distance = np.linalg.norm(images[:, None] - vectors, axis=2)
    lengths = np.linalg.norm(images, axis=1)[:, None] * np.linalg.norm(vectors, axis=1)
    cosine = images @ vectors.T / lengths
    costs = {"": distance, "_cosine": -cosine, "_distance_cosine": distance / (2 + cosine)}
    expected = {
        f"accuracy{name}": np.mean(cost.argmin(axis=1) == digits.test.labels)
        for name, cost in costs.items()
    }
    assert len({*expected.values()}) == 3

    def metrics(decision):
        description = described(range(10), outputs=(Output("embedding", decision, vectors),))
        wanted = MethodArgs(network, description, tuple(digits.labels))
        return evaluate_model("a", A, "own", wanted, digits, {}, LoaderOptions(workers=0))

    found = metrics("distance")
    for name, value in expected.items():
        assert found.metrics[name] == pytest.approx(value), name
    both = reports.table([metrics("dot"), found])
    assert both[0].split("  ")[-1].strip() == "by L2 / (2 + cosine)"
    assert len(both[1].split()) == len(both[2].split()) - 2


@pytest.mark.parametrize("decision", ["dot", "output", "distance"])
def test_centroids_are_compared_by_distance(network, decision):
    centroids = ClassEmbeddings(VECTORS.astype(np.float32), tuple("abcd"))
    wanted = method_args(network, Output("embedding", decision), centroids=centroids)
    with pytest.raises(UsageError, match="5 dimensions, but the centroids 3"):
        nearest_centroid(dataclasses.replace(wanted, layer="2"))
    for norm in (False, True):
        features = FEATURES / np.linalg.norm(FEATURES, axis=1, keepdims=True) if norm else FEATURES
        found = nearest_centroid(dataclasses.replace(wanted, norm=norm)).scores(FEATURES)
        np.testing.assert_array_equal(np.argsort(found), np.argsort(by_distance(features)))


def test_the_largest_value_of_a_layer(network):
    wanted = method_args(network, Output("embedding", "dot"), Output("prob", "output"))
    values = np.array([[1, 2, 3, 4.0]])
    for layer in (None, "prob"):
        classifier = largest_value(dataclasses.replace(wanted, layer=layer))
        np.testing.assert_array_equal(classifier.scores(values), [[3, 1, 2]])
        assert not classifier.learns and classifier.tensor.shape[-1] == 4
    with pytest.raises(UsageError, match="embedding has 3 values for 4 classes"):
        largest_value(dataclasses.replace(wanted, layer="embedding"))


def test_a_centroid_is_missing(network):
    centroids = ClassEmbeddings(VECTORS[:2].astype(np.float32), tuple("ab"))
    with pytest.raises(UsageError, match="no vector for c;"):
        nearest_centroid(method_args(network, Output("embedding", "dot"), centroids=centroids))


def test_features_of_a_layer_are_averaged_over_all_places(network):
    images = np.random.default_rng(0).random((2, 6, 7, 1)).astype(np.float32)
    watching = keras.Model(network.inputs, [feature_tensor(network, n) for n in ("maps", "1", "2")])
    by_name, by_number, pooled = watching.predict(images, verbose=0)
    np.testing.assert_allclose(by_name, pooled, rtol=1e-5)
    np.testing.assert_allclose(by_number, pooled, rtol=1e-5)
    assert feature_tensor(network) is network.outputs[0]
    with pytest.raises(UsageError, match="mops"):
        feature_tensor(network, "mops")


@pytest.mark.parametrize("name", ["prob", "fc1000", "dense_1"])
def test_a_classifier_s_features_are_the_input_of_its_last_layer(name):
    features = keras.Input((3,))
    classifier = keras.layers.Dense(4, activation="softmax", name=name)(features)
    embedding = keras.layers.Dense(4, name=name)(features)

    assert feature_tensor(keras.Model(features, classifier)) is features
    assert feature_tensor(keras.Model(features, embedding)) is embedding


@pytest.mark.parametrize(
    ("architecture", "layer"), [("simple", "fc14"), ("resnet-32", "avg_pool"), ("rn18", "pool5")]
)
def test_a_classifier_s_features_are_taken_in_front_of_a_batch_normalization(architecture, layer):
    model = build_backbone(architecture, 5, classifier=True)
    assert feature_tensor(model) is model.get_layer(layer).output


def test_two_classes_get_two_scores(network):
    machine = LinearSVM(network.outputs[0], cost=1.0, seed=0)
    machine.fit(np.array([[-1.0, 0], [-2, 1], [2, 0], [1, 1]]), np.array([0, 0, 1, 1]))
    assert machine.scores(np.array([[-3.0, 0], [3, 0]])).argmax(axis=1).tolist() == [0, 1]
    with pytest.raises(UsageError, match="two classes"):
        machine.fit(np.ones((3, 2)), np.zeros(3, int))


def test_features_are_divided_by_their_largest_absolute_value_in_training(network):
    from sklearn.svm import LinearSVC

    rng = np.random.default_rng(1)
    features = rng.normal(size=(60, 4)) * [1e-3, 1, 1e3, 0]
    labels, others = rng.integers(0, 3, 60), rng.normal(size=(20, 4)) * [1e-3, 1, 1e3, 5]
    machine = LinearSVM(network.outputs[0], cost=0.1, seed=0)
    machine.fit(features, labels)
    scale = np.array([max(abs(column)) or 1 for column in features.T])
    slow = LinearSVC(C=0.1, dual="auto", random_state=0).fit(features / scale, labels)
    np.testing.assert_allclose(machine.scores(others), slow.decision_function(others / scale))


def test_an_svm_that_does_not_converge_warns_in_one_line(network, caplog):
    """Features that are almost multiples of one another, more than images."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(40, 45))
    features[:, 1:] = features[:, :1] + 1e-3 * features[:, 1:]
    LinearSVM(network.outputs[0], cost=1e3, seed=0).fit(features, rng.integers(0, 3, 40))
    (record,) = caplog.records
    assert "--C" in record.getMessage()


def test_values_that_are_not_finite_are_refused(digits):
    inputs = keras.Input((8, 8, 1))
    outputs = keras.layers.Rescaling(np.inf)(keras.layers.Flatten()(inputs))  # 0 * inf
    network = keras.Model(inputs, outputs)
    wanted = MethodArgs(network, described(range(64)), tuple(digits.labels))
    with pytest.raises(UserError, match=r"a\.keras computes values that are not finite"):
        evaluate_model("a", A, "own", wanted, digits, {}, LoaderOptions(workers=0))
