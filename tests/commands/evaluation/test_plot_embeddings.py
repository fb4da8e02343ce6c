"""plot_embeddings.py on networks with random weights, against NumPy and SciPy."""

import csv
import json
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from scipy.spatial.distance import cdist

import plot_embeddings as command
from datasets import get_dataset
from models.files.description import ModelDescription, Output
from models.files.saved import save_model
from tests import fake_data
from tests.commands.running import run, succeed

KNOWN = (7, 1, 3, 0)
DIGITS = "--dataset Digits-sub5"


def save(name, build, output, labels=KNOWN):
    """Save a network with random weights that knows classes of Digits."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 1))
    x = layers.Flatten()(layers.Rescaling(1 / 255)(inputs))
    x = layers.Dense(5, "relu", name="hidden")(x)
    about = ModelDescription("Digits", labels, tuple(map(str, labels)), 1, 8, 8, (output,))
    save_model(keras.Model(inputs, build(x)), f"{name}.keras", about)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The working directory with models, lists and a taxonomy."""
    path = tmp_path_factory.mktemp("embeddings")
    fake_data.write_lines(path / "known.txt", KNOWN)
    fake_data.write_lines(path / "other.txt", ["1", "2"])
    fake_data.write_lines(path / "one.txt", ["1"])
    even_first = [f"{10 if label % 2 == 0 else 11} {label}" for label in range(10)]
    fake_data.write_lines(path / "tree.txt", ["12 10", "12 11", *even_first])
    fake_data.write_lines(path / "short.txt", ["12 10", "10 1", "10 2"])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        targets = np.float32([[1, 0], [0, 1], [-1, 0], [0, -1]])
        plane = Output("embedding", "distance", targets)
        save("plane", lambda x: layers.Dense(2, name="embedding")(x), plane)
        prob = Output("prob", "output")
        save("net", lambda x: layers.Dense(4, "softmax", name="prob")(x), prob)
        line = Output("embedding", "distance", targets[:, :1])
        save("line", lambda x: layers.Dense(1, name="embedding")(x), line)
        keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten()]).save("bare.keras")
        yield path


def features(name, layer, images):
    """Outputs of a layer of a saved model."""
    model = keras.models.load_model(f"{name}.keras")
    return keras.Model(model.inputs, model.get_layer(layer).output).predict_on_batch(images)


def test_distances_of_all_classes_of_the_test_images(folder):
    options = "--model plane.keras net.keras --distances d.csv --plot_distances d.svg"
    outcome = succeed(command, f"{DIGITS} {options} --hierarchy tree.txt --known known.txt")
    data = get_dataset("Digits-sub5")
    assert outcome.out == f"{len(data.test)} test images of 10 classes\n"
    images = np.stack([data.test[i] for i in range(len(data.test))])
    with open("d.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for name, layer in (("plane", "embedding"), ("net", "hidden")):
        found = features(name, layer, images)
        means = np.stack([found[data.test.labels == c].mean(axis=0) for c in range(10)])
        own = [row for row in rows if row["model"] == name]
        stored = np.array([[float(row[str(c)]) for c in range(10)] for row in own])
        np.testing.assert_allclose(stored, cdist(means, means), atol=1e-5)
        assert {int(row["label"]) for row in own if row["known"] == "1"} == set(KNOWN)
    record = json.loads(Path("d.csv.run.json").read_text())
    assert record["metrics"] == {"plane": "euclidean", "net": "euclidean"}
    svg = Path("d.svg").read_text()
    places = [svg.index(f">{label}") for label in (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)]
    assert places == sorted(places)


def test_points_of_some_training_images(folder):
    options = (
        "--model plane.keras net.keras --label flat deep --plot p.svg --part train --csv p.csv"
    )
    outcome = succeed(command, f"{DIGITS} {options} --images 3 --class_list other.txt")
    assert outcome.out == "6 train images of 2 classes\n"
    svg = Path("p.svg").read_text()
    assert all(f">{text}<" in svg for text in ("flat", "deep", "1", "2 *", "* not trained on"))
    assert "feature 1" in svg and "component 1 (" in svg
    data = get_dataset("Digits-sub5")
    found = features("plane", "embedding", np.stack([data.train[i] for i in range(50)]))
    with open("p.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["model"] == "flat"]
    for label, known in ((1, "1"), (2, "0")):
        own = [row for row in rows if row["class"] == str(label)]
        kinds = ["sample"] * 3 + ["mean"] + ["target"] * int(known)
        assert [(row["kind"], row["known"]) for row in own] == [(kind, known) for kind in kinds]
        points = np.array([[float(row["x"]), float(row["y"])] for row in own])
        distances = cdist(points[:3], found[data.train.labels == label])
        assert (distances.min(axis=1) < 1e-4).all() and len(set(distances.argmin(axis=1))) == 3
        np.testing.assert_allclose(points[3], points[:3].mean(axis=0), atol=1e-5)
    assert points_of_target(rows) == [0, 1]


def points_of_target(rows):
    (row,) = [row for row in rows if row["kind"] == "target"]
    return [float(row["x"]), float(row["y"])]


def test_known_classes_only(folder):
    options = "--model plane.keras --csv k.csv --known_only --images 1"
    assert succeed(command, f"{DIGITS} {options}").out == "4 test images of 4 classes\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--model plane.keras", "nothing to draw: give one of --plot, --csv, --distances, "),
        ("--model plane.keras --plot p.pdf", "--plot p.pdf: the name must end in .svg or .png"),
        ("--model plane.keras --distances d.txt", "the name must end in .csv or .npz"),
        ("--model plane.keras --plot a.svg --plot_distances a.svg", "name the same file, a.svg"),
        ("--model plane.keras --plot a.svg --perplexity 3", "is for --projection tsne"),
        ("--model plane.keras --distances a.csv --projection tsne", "give --plot or --csv"),
        ("--model plane.keras --plot a.svg --metric cosine", "--metric is for distances"),
        ("--model plane.keras --distances d.npz --str_ids", "give --hierarchy FILE"),
        ("--model plane.keras --distances d.npz --hierarchy cub_flat", "in --plot_distances FILE"),
        ("--model bare.keras --plot a.svg", "does not say which classes it knows"),
        ("--model line.keras --plot a.svg", "line has features of one dimension"),
        ("--model net.keras --layer no --plot a.svg", "no layer 'no'"),
        ("--model plane.keras --known other.txt --plot a.svg", "knows 4 classes, 0, 1, 3, 7; th"),
        (
            "--model plane.keras --class_list one.txt --plot a.svg",
            "two classes are needed, but Digits-su",
        ),
        (
            "--model plane.keras --hierarchy short.txt --plot_distances heat.svg",
            "short.txt has no class 0",
        ),
        (
            "--model net.keras --plot a.svg --projection tsne --images 1",
            "t-SNE with a perplexity of 30 needs more points than that, and there are 20: 10 sam",
        ),
    ],
)
def test_refused(folder, options, message):
    outcome = run(command, f"{DIGITS} {options}")
    assert outcome.status in (1, 2) and message in outcome.err
    assert outcome.err.splitlines()[-1].startswith("plot_embeddings.py: error: ")
    assert not Path("a.svg").exists()
