"""evaluate_open_set.py on networks with random weights, against SciPy and scikit-learn."""

import csv
import json
from pathlib import Path
from statistics import mean, stdev

import keras
import numpy as np
import pytest
from keras import layers
from scipy.spatial.distance import cdist
from sklearn.metrics import roc_auc_score

import evaluate_open_set as command
import learn_classifier
from datasets import get_dataset
from models.files.description import ModelDescription, Output, read_description
from models.files.saved import save_model
from tests import fake_data
from tests.commands.running import TINY, run, succeed

KNOWN = (7, 1, 3, 0)
DIGITS = "--dataset Digits-sub5"
VECTORS = np.float32(1000 * np.eye(4, 6)[:, ::-1])


def save(name, build, outputs, labels=KNOWN, seed=0):
    """Save a network with random weights that knows classes of Digits."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((8, 8, 1))
    x = layers.Flatten()(layers.Rescaling(1 / 255)(inputs))
    x = layers.Dense(5, "relu", name="hidden")(x)
    names = tuple(map(str, labels))
    about = ModelDescription("Digits", labels, names, 1, 8, 8, outputs)
    save_model(keras.Model(inputs, build(x)), f"{name}.keras", about)


def classifier(x, classes=4):
    return layers.Dense(classes, "softmax", name="prob")(x)


def cosine_and_classifier(x):
    embedding = layers.UnitNormalization(name="l2norm")(layers.Dense(4)(x))
    return [embedding, classifier(layers.ReLU()(embedding))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The working directory with models and lists."""
    path, prob = tmp_path_factory.mktemp("open"), Output("prob", "output")
    fake_data.write_lines(path / "known.txt", [f"{label} a digit" for label in KNOWN])
    fake_data.write_lines(path / "other.txt", ["1", "2"])
    fake_data.write_mnist(path / "mnist")
    fake_data.write_ag_news(path / "news")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        for seed, name in enumerate(("first", "second")):
            save(name, classifier, (prob,), seed=seed)
        save("both", cosine_and_classifier, (Output("l2norm", "output"), prob))
        far = Output("embedding", "distance", VECTORS)
        save("far", lambda x: layers.Dense(6, name="embedding")(x), (far,))
        save("all", lambda x: classifier(x, 10), (prob,), tuple(range(10)))
        keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten()]).save("bare.keras")
        yield path


@pytest.fixture(scope="module")
def digits():
    """Training images and labels of known classes, test images and positions, -1: unknown."""
    data = get_dataset("Digits-sub5")
    position = {data.labels.index(label): i for i, label in enumerate(KNOWN)}
    train = [i for i, label in enumerate(data.train.labels) if label in position]
    images = np.stack([data.train[i] for i in train])
    labels = np.array([position[data.train.labels[i]] for i in train])
    tests = np.stack([data.test[i] for i in range(len(data.test))])
    return images, labels, tests, np.array([position.get(label, -1) for label in data.test.labels])


def rows(path):
    with open(path, newline="") as file:
        return {(row["model"], row["score"]): row for row in csv.DictReader(file)}


def check(row, class_scores, truth):
    """Compare with scores (test images, classes)."""
    check_rated(row, class_scores.max(axis=1), class_scores.argmax(axis=1), truth)


def check_rated(row, scores, predicted, truth):
    is_known = truth >= 0
    counts = int(row["known_images"]), int(row["unknown_images"])
    assert counts == (is_known.sum(), (~is_known).sum())
    correct = predicted[is_known] == truth[is_known]
    assert float(row["accuracy"]) == pytest.approx(correct.mean())
    # Scores that differ by rounding only may change places.
    assert float(row["auroc"]) == pytest.approx(roc_auc_score(is_known, scores), abs=2e-5)
    rightly = np.concatenate([np.flatnonzero(is_known)[correct], np.flatnonzero(~is_known)])
    area = roc_auc_score(is_known[rightly], scores[rightly]) * correct.mean()
    assert float(row["oscr"]) == pytest.approx(area, abs=2e-5)


def values(name, images, *names):
    """Outputs of layers of a saved model."""
    model = keras.models.load_model(f"{name}.keras")
    tensors = [model.get_layer(layer).output for layer in names]
    return keras.tree.flatten(keras.Model(model.inputs, tensors).predict_on_batch(images))


def test_scores_of_a_classifier(folder, digits):
    outcome = succeed(command, f"{DIGITS} --known known.txt --model first.keras --csv f.csv")
    assert outcome.out.startswith("Images of known and unknown classes of Digits-sub5, in perc")
    assert "mean ± sd" not in outcome.out and outcome.err == ""
    found = rows("f.csv")
    assert [score for _, score in found] == ["probability", "logit", "distance", "knn"]
    images, labels, tests, truth = digits
    features, probabilities = values("first", tests, "hidden", "prob")
    check(found["first", "probability"], probabilities, truth)
    kernel, bias = keras.models.load_model("first.keras").get_layer("prob").get_weights()
    check(found["first", "logit"], features @ kernel + bias, truth)
    (learned,) = values("first", images, "hidden")
    means = np.stack([learned[labels == c].mean(axis=0) for c in range(len(KNOWN))])
    check(found["first", "distance"], -cdist(features, means), truth)
    unit, learned = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (features, learned))
    distances = cdist(unit, learned)
    nearest = labels[distances.argsort(axis=1)[:, :5]].tolist()
    votes = [max(row, key=lambda c, row=row: (row.count(c), -row.index(c))) for row in nearest]
    check_rated(found["first", "knn"], -np.sort(distances)[:, 4], np.array(votes), truth)


def test_scores_of_embeddings(folder, digits):
    options = "--model both.keras far.keras --csv e.csv --plot e.svg --neighbors 1"
    succeed(command, f"{DIGITS} {options}")
    found = rows("e.csv")
    _, _, tests, truth = digits
    embedding, probabilities = values("both", tests, "l2norm", "prob")
    check(found["both", "probability"], probabilities, truth)
    check(found["both", "similarity"], embedding, truth)
    check(found["both", "distance"], -cdist(embedding, np.eye(4)), truth)
    (embedding,) = values("far", tests, "embedding")
    check(found["far", "distance"], -cdist(embedding, VECTORS), truth)
    squared = cdist(embedding, VECTORS) ** 2
    unit = squared / np.linalg.norm(squared, axis=1, keepdims=True)
    # As published: knownness is 1 / (1 + d²), after the distances of an image have unit length.
    check(found["far", "relative_distance"], 1 / (1 + unit), truth)
    check(found["far", "similarity"], -cdist(embedding, VECTORS, "cosine"), truth)
    assert ("far", "logit") not in found
    svg = Path("e.svg").read_text()
    assert all(text in svg for text in ("both: knn", "far: similarity", "ROC", "CCR: …"))


def test_models_are_averaged_by_name(folder):
    options = f"{DIGITS} --scores logit --overwrite --fpr 0.2 --csv a.csv --model first.keras"
    outcome = succeed(command, f"{options} second.keras both.keras --label xent xent cosine")
    found = {model: row for (model, _), row in rows("a.csv").items()}
    assert list(found) == ["xent, first", "xent, second", "cosine"]
    reached = [100 * float(found[f"xent, {name}"]["oscr"]) for name in ("first", "second")]
    assert f"{mean(reached):.2f} ± {stdev(reached):.2f}" in outcome.out
    assert "xent (2)" in outcome.out and "cosine (" not in outcome.out
    assert "CCR@FPR=0.2" in outcome.out
    facts = json.loads(Path("a.csv.run.json").read_text())
    expected = [mean(reached) / 100, stdev(reached) / 100]
    assert facts["averages"][0]["oscr"] == pytest.approx(expected)
    assert "all models (2)" in succeed(command, f"{options} both.keras").out


def test_a_published_split_with_unknown_classes_of_another_data_set(folder, tmp_path):
    ten = fake_data.write_cifar10(tmp_path / "10", classes=10)
    hundred = fake_data.write_whole_cifar100(tmp_path / "100")
    data = f"--dataset CIFAR-10 --data_root {ten} --split arpl+10:2"
    options = "--architecture tiny --epochs 1 --batch_size 20 --model_dump plus.keras"
    succeed(learn_classifier, f"{data} {options}")
    assert read_description("plus.keras").labels == (9, 6, 1, 7)
    data += f" --unknown_root {hundred} --model plus.keras"
    succeed(command, f"{data} --scores probability --csv p.csv --batch_size 7")
    row = rows("p.csv")["plus", "probability"]
    assert (row["known_images"], row["unknown_images"]) == ("8", "20")
    assert row["split"] == "arpl+10:2"
    for change, message in (
        ((":2", ":3"), "those of arpl+10:3 are 1, 4, 6, 9"),
        ((f"--unknown_root {hundred}", ""), "--unknown_root: CIFAR-100 is read from files"),
        (
            (":2", ":2 --unknown Digits"),
            "--unknown Digits: --split arpl+10:2 takes its unknown classes from CIFAR-100",
        ),
    ):
        outcome = run(command, data.replace(*change))
        assert outcome.status == 2 and message in outcome.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--split arpl:5 --model first.keras", "unknown split 'arpl:5'"),
        ("--split arpl:0 --model first.keras", "no split arpl:0 of Digits-sub5, but of MNIST,"),
        ("--split arpl:0 --known known.txt --model first.keras", "not allowed with argument"),
        ("--known other.txt --model first.keras", "knows 4 classes, 0, 1, 3, 7; those of other"),
        ("--known missing.txt --model first.keras", "missing.txt"),
        ("--model all.keras", "knows all 10 classes of Digits-sub5, so none is unknown"),
        ("--model bare.keras", "bare.keras does not say which classes it knows: use a model"),
        ("--model first.keras --scores similarity", "it has no score similarity, but probability"),
        ("--model first.keras --scores logit --neighbors 3", "--neighbors is for the score knn"),
        ("--model first.keras --neighbors 21", "21 nearest neighbors are more than the 20"),
        (
            "--model first.keras --unknown_root .",
            "--unknown_root is the folder of a data set: name it",
        ),
        ("--model first.keras second.keras --label a", "--label: 1 names for 2 models"),
        ("--model first.keras --unknown MNIST --unknown_root mnist", "have the shape (28, 28, 1)"),
        ("--model first.keras --unknown AG-News --unknown_root news", "documents, not images"),
        ("--model first.keras --plot x.pdf", "--plot x.pdf: the name must end in"),
    ],
)
def test_refused(folder, options, message):
    outcome = run(command, f"{DIGITS} {options}")
    assert outcome.status in (1, 2) and message in outcome.err
    assert outcome.err.splitlines()[-1].startswith("evaluate_open_set.py: error: ")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--known wrong.txt", "1 of 2 class labels are not among those of Digits-sub5: eleven"),
        ("--split arpl:0", "there is no split arpl:0 of Digits-sub5"),
    ],
)
def test_training_on_classes_that_do_not_exist(folder, options, message):
    fake_data.write_lines(folder / "wrong.txt", ["1", "eleven"])
    outcome = run(learn_classifier, f"{TINY} {options} --epochs 1")
    assert outcome.status == 2 and message in outcome.err
