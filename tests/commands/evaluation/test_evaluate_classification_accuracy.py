"""evaluate_classification_accuracy.py on models of both commands, against scikit-learn."""

import csv
import functools
import json
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image
from sklearn import metrics, preprocessing
from sklearn.preprocessing import MaxAbsScaler
from sklearn.svm import LinearSVC

import evaluate_classification_accuracy as command
import learn_classifier
import learn_image_embeddings
from datasets import get_dataset
from tests import fake_data
from tests.commands.running import TINY, record, run, succeed
from utils import generators

DIGITS = "--dataset Digits-sub5"
GROUPS = {"round": [0, 6, 8, 9], "straight": [1, 4, 7], "mixed": [2, 3, 5]}
# Name → command and options that train it, and what the table calls its way to classify.
MODELS = {
    "xent": (learn_classifier, "", "probability"),
    "cosine": (learn_image_embeddings, "--embedding onehot", "largest output"),
    "both": (learn_image_embeddings, "--embedding onehot --cls_weight 0.1", "probability"),
    "semantic": (learn_image_embeddings, "--embedding sem.npz", "class embedding (dot)"),
    "mse": (learn_image_embeddings, "--embedding sem.npz --loss mse", "class embedding (L2)"),
}
FILES = [f"{name}.keras" for name in MODELS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The working directory, with trained models, class embeddings and a hierarchy."""
    path = tmp_path_factory.mktemp("evaluation")
    vectors = np.random.default_rng(0).normal(size=(10, 6))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    np.savez(path / "sem.npz", embedding=vectors, ind2label=np.arange(10))
    pairs = [(100, 101 + i) for i in range(3)]
    pairs += [(101 + i, digit) for i, group in enumerate(GROUPS.values()) for digit in group]
    fake_data.write_lines(path / "digits.txt", [f"{parent} {child}" for parent, child in pairs])
    fake_data.write_lines(path / "some.txt", ["7 seven", "1 one", "3 three", "0 zero"])
    np.savez(path / "onehot.npz", embedding=np.eye(10), ind2label=np.arange(10))
    (path / "old.csv").write_text("written earlier")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        for name, (trainer, options, _) in MODELS.items():
            dump = f"--epochs 3 --seed 3 --model_dump {name}.keras"
            succeed(trainer, f"{TINY} {dump} {options}")
        yield path


@pytest.fixture(scope="module")
def digits():
    """Training and test images and labels, as arrays."""
    dataset = get_dataset("Digits-sub5", repeats=1)
    return [np.stack(list(s)) for s in (dataset.train, dataset.test)], [
        dataset.train.labels,
        dataset.test.labels,
    ]


load = functools.cache(functools.partial(keras.models.load_model, compile=False))


def outputs(path, images, layer=None):
    """Compute the model's last output, or that of a layer, with Keras alone."""
    model = load(path)
    network = keras.Model(model.input, model.get_layer(layer).output) if layer else model
    found = network(images, training=False)
    return np.asarray(found[-1] if isinstance(found, list) else found)


@functools.cache
def raw_scores(name):
    """Compute scores of the test images by arg-max, dot product or distance."""
    found = outputs(f"{name}.keras", np.stack(list(get_dataset("Digits").test)))
    vectors = np.load("sem.npz")["embedding"]
    if name == "mse":
        return -((found[:, None] - vectors[None]) ** 2).sum(axis=-1)
    return found @ vectors.T if name == "semantic" else found


def similarity(one, other, same_group):
    together = any(one in group and other in group for group in GROUPS.values())
    return 1.0 if one == other else same_group if together else None


def expected(scores, labels):
    """All figures by scikit-learn and by the three kinds of pairs in the hierarchy."""
    predicted = scores.argmax(axis=1)
    pairs = list(zip(labels.tolist(), predicted.tolist(), strict=True))
    # Root, groups and digits have heights 2, 1, 0 and depths 1, 2, 3.
    lcs = [similarity(*pair, 0.5) or 0 for pair in pairs]
    wup = [similarity(*pair, 2 / 3) or 1 / 3 for pair in pairs]
    return {
        "accuracy": metrics.accuracy_score(labels, predicted),
        "top5_accuracy": metrics.top_k_accuracy_score(labels, scores, k=5),
        "average_accuracy": metrics.balanced_accuracy_score(labels, predicted),
        "hierarchical_accuracy_lcs": np.mean(lcs),
        "hierarchical_accuracy_wup": np.mean(wup),
    }


def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def accuracies(outcome):
    """The first column of figures on the screen."""
    _, blank, header, *rows = outcome.out.splitlines()
    assert blank == ""
    at = header.index("accuracy")
    return [float(row[at : at + len("accuracy")]) for row in rows]


@pytest.fixture(scope="module")
def evaluated(folder):
    options = (
        f"{DIGITS} --hierarchy digits.txt --csv a.csv --per_class p.csv "
        "--confusion c.csv --batch_size 300"
    )
    return succeed(command, options, "--model", *FILES)


def test_every_metric_of_every_kind_of_model(evaluated, digits):
    rows = read("a.csv")
    assert [row["model"] for row in rows] == list(MODELS)
    for row in rows:
        figures = expected(raw_scores(row["model"]), digits[1][1])
        for name, value in figures.items():
            # Values that differ in the last digits of float32 may change the fifth place.
            assert float(row[name]) == pytest.approx(value, abs=2 / 896), (row["model"], name)
        assert row["method"] == MODELS[row["model"]][2]
        assert (row["images"], row["classes"], row["dataset"]) == ("896", "10", "Digits-sub5")


def test_the_same_as_at_the_end_of_training(evaluated, folder):
    for row in read("a.csv"):
        final = record(folder / f"{row['model']}.keras")["final"]
        acc = final["prob_acc" if row["model"] == "both" else "acc"]
        assert float(row["accuracy"]) == pytest.approx(acc, abs=1.5 / 896)
        assert float(row["average_accuracy"]) == pytest.approx(final["average_accuracy"], abs=0.003)


def test_the_table_has_the_metrics_in_percent(evaluated):
    title, _, header, *lines = evaluated.out.splitlines()
    assert title == "896 test images of 10 classes, accuracies in percent"
    columns = ["accuracy", "top-5", "average", "hier. (LCS)", "hier. (WUP)"]
    columns += ["by cosine", "by L2 / (2 + cosine)"]  # of the models that go by distance
    assert header.split() == ["model", "classified", "by", *" ".join(columns).split()]
    for line, row in zip(lines, read("a.csv"), strict=True):
        figures = [f"{100 * float(row[name]):.2f}" for name in list(row)[6:] if row[name]]
        assert len(figures) == (7 if row["method"] == "class embedding (L2)" else 5)
        assert line.split() == [row["model"], *row["method"].split(), *figures]
        last = columns[len(figures) - 1]
        assert len(line) == header.index(last) + len(last)


def test_accuracy_per_class_and_confusion(evaluated, digits):
    rows = read("p.csv")
    assert [(row["label"], row["name"]) for row in rows] == [(str(i),) * 2 for i in range(10)]
    assert [int(row["images"]) for row in rows] == np.bincount(digits[1][1]).tolist()
    for name in MODELS:
        predicted = raw_scores(name).argmax(axis=1)
        truth = metrics.confusion_matrix(digits[1][1], predicted, labels=range(10))
        found = np.array([[int(row[str(i)]) for i in range(10)] for row in read(f"c.{name}.csv")])
        assert np.abs(found - truth).sum() <= 4
        own = [float(row[name]) for row in rows]
        np.testing.assert_allclose(own, np.diag(found) / found.sum(axis=1))


def test_a_record_beside_the_metrics(evaluated, folder):
    kept = json.loads((folder / "a.csv.run.json").read_text())
    assert kept["options"]["command_line"].startswith("python evaluate_classification_accuracy.py")
    assert {"commit", "versions", "dataset"} <= kept.keys()
    rows = read(folder / "a.csv")
    assert [*kept["results"]] == [row["model"] for row in rows]
    for row in rows:
        assert kept["results"][row["model"]]["accuracy"] == float(row["accuracy"])


def svm_scores(features, labels, cost=0.1, norm=False, seed=0):
    """Compute scores of an SVM on unit vectors, or on features scaled by scikit-learn."""
    scale = preprocessing.normalize if norm else MaxAbsScaler().fit(features[0]).transform
    train, test = map(scale, features)
    machine = LinearSVC(C=cost, dual="auto", random_state=seed).fit(train, labels[0])
    return machine.decision_function(test)


# Options, the layers whose outputs are the features, and the cost.
MACHINES = [
    ("--model xent.keras --svm", "avg_pool", 0.1, False),
    ("--model semantic.keras --svm --C 0.01", "l2norm", 0.01, False),
    ("--model mse.keras --layer relu0 --norm --seed 0", "relu0", 0.1, True),
    ("--model mse.keras --layer relu0 --norm no --augmentation_epochs 1", "relu0", 0.1, False),
]


@pytest.mark.parametrize(("options", "layer", "cost", "norm"), MACHINES)
def test_a_linear_svm(folder, digits, options, layer, cost, norm):
    outcome = succeed(command, f"{DIGITS} {options}")
    model = options.split()[1]
    features = [outputs(model, images, layer) for images in digits[0]]
    features = [x.mean(axis=(1, 2)) if x.ndim == 4 else x for x in features]
    scores = svm_scores(features, digits[1], cost, norm)
    truth = metrics.accuracy_score(digits[1][1], scores.argmax(axis=1))
    assert truth > 0.2  # or else nothing was learned that could differ
    assert accuracies(outcome) == [pytest.approx(100 * truth, abs=0.6)]


def test_augmentation_gives_the_svm_more_to_learn_from(folder, digits):
    """Every pass has the images that training would have seen in that epoch."""
    outcome = succeed(
        command, f"{DIGITS} --model xent.keras --svm --augmentation_epochs 3 --seed 5"
    )
    dataset = get_dataset("Digits-sub5", repeats=1)
    images = [
        dataset.preprocessing.train(
            image, next(generators("augmentation", 5, epoch, positions=[i]))
        )
        for epoch in range(3)
        for i, image in enumerate(dataset.train)
    ]
    features = [outputs("xent.keras", x, "avg_pool") for x in (np.stack(images), digits[0][1])]
    scores = svm_scores(features, [np.tile(digits[1][0], 3)], seed=5)
    truth = np.mean(scores.argmax(axis=1) == digits[1][1])
    assert accuracies(outcome) == [pytest.approx(100 * truth, abs=0.6)]


def test_centroids_names_and_pictures(folder, digits):
    outcome = succeed(
        command,
        f"{DIGITS} --model semantic.keras mse.keras semantic.keras --centroids sem.npz "
        "--label one two 3/3 --plot_confusion c.png",
    )
    first, second, third = accuracies(outcome)
    labels = digits[1][1]
    own = [np.mean(raw_scores(n).argmax(1) == labels) for n in ("semantic", "mse")]
    assert [first, second] == [pytest.approx(100 * value, abs=0.3) for value in own]
    assert third == first
    assert [line.split()[0] for line in outcome.out.splitlines()[3:]] == ["one", "two", "3/3"]
    for name in ("one", "two", "3_3"):
        with Image.open(folder / f"c.{name}.png") as picture:
            assert min(picture.size) > 400


def test_every_model_by_its_own_method(folder, digits):
    """Options repeated, one for each model, as the published command has them."""
    outcome = succeed(
        command,
        f"{DIGITS} --classes_from sem.npz --batch_size 100 "
        "--model both.keras --layer prob --prob_features yes --label a "
        "--model both.keras --layer l2norm --prob_features no --label b",
        *("--centroids", "", "--centroids", "onehot.npz"),
    )
    labels = digits[1][1]
    probabilities, embedding = (
        outputs("both.keras", digits[0][1], layer) for layer in ("prob", "l2norm")
    )
    distances = ((embedding[:, None] - np.eye(10)) ** 2).sum(axis=-1)
    truth = [probabilities.argmax(axis=1) == labels, distances.argmin(axis=1) == labels]
    assert accuracies(outcome) == [pytest.approx(100 * np.mean(t), abs=0.3) for t in truth]
    methods = [line.split()[1:4] for line in outcome.out.splitlines()[3:]]
    assert methods[0] == ["largest", "of", "prob"] and methods[1][:2] == ["centroid", "(L2)"]


def test_centroids_of_any_length_are_compared_by_distance(folder, digits):
    vectors = np.load("sem.npz")["embedding"] * np.linspace(0.2, 3, 10)[:, None]
    np.savez("long.npz", embedding=vectors, ind2label=np.arange(10))
    options = "--centroids long.npz --confusion long.csv"
    succeed(command, f"{DIGITS} --model semantic.keras {options}")
    features = outputs("semantic.keras", digits[0][1])
    distances = ((features[:, None] - vectors) ** 2).sum(axis=-1)
    by_distance, by_product = (
        metrics.confusion_matrix(digits[1][1], scores.argmax(axis=1), labels=range(10))
        for scores in (-distances, features @ vectors.T)
    )
    found = np.array([[int(row[str(i)]) for i in range(10)] for row in read("long.csv")])
    assert np.abs(found - by_distance).sum() <= 4 < np.abs(found - by_product).sum()


def test_some_classes_only(folder, digits):
    outcome = succeed(command, f"{DIGITS} --model xent.keras --class_list some.txt --csv s.csv")
    kept = np.isin(digits[1][1], [7, 1, 3, 0])
    scores, truth = raw_scores("xent")[kept][:, [7, 1, 3, 0]], digits[1][1][kept]
    (row,) = read("s.csv")
    right = np.mean(np.array([7, 1, 3, 0])[scores.argmax(axis=1)] == truth)
    assert float(row["accuracy"]) == pytest.approx(right, abs=1.5 / kept.sum())
    assert (row["images"], row["classes"], row["top5_accuracy"]) == (str(kept.sum()), "4", "")
    assert len(outcome.out.splitlines()[3].split()) == 4  # no top-5


@pytest.fixture(scope="module")
def photographs(folder):
    """A folder of images and a model that was trained on it with other sizes than the usual."""
    fake_data.write_folder(folder / "data", train=3, test=3)
    data = "--dataset Folder --data_root data --batch_size 4"
    sizes = "--target_size 18 --crop_size 14 --architecture tiny --epochs 1"
    succeed(learn_classifier, f"{data} {sizes} --model_dump photographs.h5")
    return data


def test_images_are_resized_as_in_training(photographs, folder):
    succeed(command, f"{photographs} --model photographs.h5 --csv photographs.csv")
    (row,) = read("photographs.csv")
    final = record(folder / "photographs.h5")["final"]
    assert float(row["accuracy"]) == pytest.approx(final["acc"])
    assert row["top5_accuracy"] == ""
    assert (row["images"], row["classes"]) == ("9", "3")


def test_all_images_of_a_folder_without_some_classes(photographs, folder):
    """Photos of two of the three classes, one of them alone, and of a class nobody knows."""
    photos = folder / "photos"
    count = {"kind_1": 1, "kind_3": 4, "weed": 2}
    for label, images in count.items():
        for i in range(images):
            fake_data.write_image(photos / label / f"{i}.png", seed=i)
    options = "--dataset Folder --data_root photos --all --model photographs.h5"
    outcome = succeed(command, f"{options} --csv all.csv --per_class all_per_class.csv")
    assert "images of 1 classes of Folder that the models do not know" in outcome.err
    assert "weed" in outcome.err and "no test images: kind_2" in outcome.err
    (row,) = read("all.csv")
    assert (row["images"], row["classes"]) == ("5", "3")
    known = get_dataset("Folder", photos, all_test=True, target_size=18, crop_size=14)
    known = known.restrict(["kind_1", "kind_3"])
    images = np.stack([known.test_transform(image) for image in known.test])
    # The model chooses among its three classes, also the one that is absent.
    predicted = outputs("photographs.h5", images).argmax(axis=1)
    truth = np.array([0, 2])[known.test.labels]
    assert float(row["accuracy"]) == pytest.approx(np.mean(predicted == truth))
    assert [row["images"] for row in read("all_per_class.csv")] == ["1", "0", "4"]


@pytest.mark.parametrize(
    ("more", "named"),
    [("", "fixed split"), ("--test_fraction 0.5", "no test fraction")],
)
def test_all_images_of_a_folder_with_a_split(photographs, folder, more, named):
    options = f"--dataset Folder --data_root data --all --model photographs.h5 {more}"
    check_refused(run(command, options), USAGE, named)


@pytest.mark.parametrize(
    ("given", "sizes"),
    [("", (18, 14)), ("--crop_size 12", (18, 12)), ("--target_size 20", (20, 14))],
)
def test_sizes_that_are_given_replace_those_of_the_model(photographs, monkeypatch, given, sizes):
    from evaluation.classification import models

    seen = []
    whole = models.evaluate_model

    def evaluate(name, file, method, request, dataset, *more):
        seen.append((dataset.preprocessing.test_size, dataset.preprocessing.crop_size))
        return whole(name, file, method, request, dataset, *more)

    monkeypatch.setattr(models, "evaluate_model", evaluate)
    succeed(command, f"{photographs} --model photographs.h5 {given}")
    assert seen == [sizes]


def test_a_damaged_image_is_named(photographs, folder):
    damaged = next((folder / "data/test/kind_1").glob("*.png"))
    content = damaged.read_bytes()
    damaged.write_bytes(content[:100])
    outcome = run(command, f"{photographs} --model photographs.h5")
    damaged.write_bytes(content)
    check_refused(outcome, 1, damaged.name)


def check_refused(outcome, status, named):
    assert outcome.status == status, outcome.err
    assert outcome.out == ""
    (line,) = [line for line in outcome.err.splitlines() if "error" in line.lower()]
    assert line.startswith("evaluate_classification_accuracy.py: error: ")
    assert named in line
    assert "Traceback" not in outcome.err


USAGE, DATA = 2, 1
REFUSED = [
    ("--model missing.keras", DATA, "missing.keras"),
    ("--model sem.npz", DATA, "sem.npz"),
    ("--model bare.keras", DATA, "bare.keras"),
    ("--model xent.keras --dataset CIFAR-10 --data_root cifar", USAGE, "CIFAR-10"),
    ("--model xent.keras --layer conv99", USAGE, "conv99"),
    ("--model xent.keras --layer 99", USAGE, "99"),
    ("--model xent.keras --csv old.csv", USAGE, "old.csv"),
    ("--model xent.keras --csv x.csv --per_class x.csv", USAGE, "x.csv"),
    ("--model xent.keras --plot_confusion x.txt", USAGE, "x.txt"),
    ("--model xent.keras --confusion missing/x.csv", USAGE, "missing"),
    ("--model xent.keras xent.keras", USAGE, "xent.keras"),
    ("--model xent.keras mse.keras --label a", USAGE, "1 names for 2 models"),
    ("--model xent.keras mse.keras --label a a", USAGE, "same name, a"),
    ("--model xent.keras mse.keras --layer 1 2 3", USAGE, "3 values for 2 models"),
    ("--model xent.keras --svm --centroids sem.npz", USAGE, "--centroids and --svm"),
    ("--model xent.keras --prob_features --svm", USAGE, "--prob_features and --svm"),
    ("--model xent.keras --prob_features --centroids sem.npz", USAGE, "--centroids and --prob_f"),
    ("--model xent.keras --prob_features maybe", USAGE, "maybe"),
    ("--model xent.keras mse.keras --prob_features yes no yes", USAGE, "3 values for 2 models"),
    ("--model xent.keras --prob_features --C 1", USAGE, "--C is for"),
    ("--model mse.keras --prob_features", USAGE, "no class probabilities"),
    ("--model mse.keras --prob_features --layer embedding", USAGE, "6 values for 10 classes"),
    ("--model xent.keras --svm --all", USAGE, "training images"),
    ("--model xent.keras --all", USAGE, "Folder, not Digits"),
    ("--model xent.keras --mean 1", USAGE, "give --architecture"),
    ("--model xent.keras --architecture simple", USAGE, "the network of xent.keras is a tiny"),
    ("--model bare.keras --architecture tiny", DATA, "bare.keras"),
    ("--model xent.keras --classes_from other.npz", USAGE, "other classes"),
    ("--model xent.keras --centroids sem.npz", USAGE, "dimensions"),
    ("--model xent.keras --centroids missing.npz", DATA, "missing.npz"),
    ("--model xent.keras --C 2", USAGE, "--C"),
    ("--model xent.keras --svm --C 0", USAGE, "--C: '0' is not"),
    ("--model xent.keras --svm --augmentation_epochs 0", USAGE, "'0' is not an integer from 1"),
    ("--model xent.keras --augmentation_epochs 2", USAGE, "--augmentation_epochs"),
    ("--model xent.keras --norm", USAGE, "--norm"),
    ("--model xent.keras --is_a", USAGE, "--is_a"),
    ("--model xent.keras --hierarchy missing.txt", DATA, "missing.txt"),
    ("--model xent.keras --hierarchy pets.txt --str_ids", USAGE, "pets.txt"),
    ("--model xent.keras --class_list sixteen.txt", USAGE, "sixteen"),
    (
        *("--model xent.keras --class_list sixteen.txt --classes_from other.npz", USAGE),
        "--classes_from has no effect with --class_list",
    ),
    ("", USAGE, "--model"),
]


@pytest.fixture(scope="module")
def wrong_files(folder):
    model = keras.models.load_model("xent.keras", compile=False)
    model.save("bare.keras")
    fake_data.write_cifar10(folder / "cifar", classes=10)
    fake_data.write_lines(folder / "pets.txt", ["pet cat", "pet dog"])
    fake_data.write_lines(folder / "sixteen.txt", ["sixteen"])
    np.savez(folder / "other.npz", embedding=np.eye(3), ind2label=["cat", "dog", "1"])


@pytest.mark.parametrize(("options", "status", "named"), REFUSED)
def test_refused_in_one_line(wrong_files, folder, options, status, named):
    before = {path.name for path in folder.iterdir()}
    check_refused(run(command, f"{DIGITS} {options}"), status, named)
    assert (folder / "old.csv").read_text() == "written earlier"
    assert {path.name for path in folder.iterdir()} == before


def test_overwrite_replaces(folder):
    (folder / "older.csv").write_text("written earlier")
    succeed(command, f"{DIGITS} --model xent.keras --csv older.csv --overwrite")
    assert len(read("older.csv")) == 1


def test_the_record_of_metrics_is_not_overwritten(folder):
    (folder / "kept.csv.run.json").write_text("written earlier")
    for options in ("--csv kept.csv", "--csv k.csv --per_class k.csv.run.json"):
        check_refused(run(command, f"{DIGITS} --model xent.keras {options}"), USAGE, ".run.json")
    assert (folder / "kept.csv.run.json").read_text() == "written earlier"


def test_one_model_that_fails_does_not_cost_the_metrics_of_the_others(folder):
    outcome = run(
        command, f"{DIGITS} --model xent.keras mse.keras --layer prob conv99 --svm --csv part.csv"
    )
    assert outcome.status == USAGE and "conv99" in outcome.err.splitlines()[-1]
    assert [row["model"] for row in read("part.csv")] == ["xent"]
    assert "xent" in outcome.out


def test_a_file_belongs_to_its_model_when_another_one_fails(folder):
    Path("matrix.csv").write_text("written earlier")
    options = "--model xent.keras mse.keras --layer prob conv99 --svm --confusion matrix.csv"
    assert run(command, f"{DIGITS} {options}").status == USAGE
    assert Path("matrix.csv").read_text() == "written earlier"
    assert len(read("matrix.xent.csv")) == 10
