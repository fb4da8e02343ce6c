"""evaluate_verification.py: pairs of a folder, of a .bin file and of feature dumps."""

import csv
import json
import pickle
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from sklearn.metrics import roc_auc_score

import evaluate_verification as command
from evaluation.feature_dumps import Features, write_features
from models.files.description import ModelDescription, Output
from models.files.saved import save_model
from tests.commands.running import run, succeed
from tests.evaluation.verification.test_pairs import jpeg
from tests.fake_data import write_image, write_lines

PEOPLE, IMAGES, SIDE = ("ann", "bo", "cy", "di"), 4, 8


def write_pairs(path):
    """Two folds of six pairs of each kind; the people of a fold are not in the other one."""
    lines = ["2 6"]
    for first, second in (PEOPLE[:2], PEOPLE[2:]):
        lines += [f"{p} {a} {b}" for p in (first, second) for a, b in ((1, 2), (1, 3), (2, 4))]
        lines += [f"{first} {a} {second} {b}" for a in (1, 2) for b in (2, 3, 4)]
    return write_lines(path, lines)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The working directory with images, pairs, a model, a .bin and a feature dump."""
    path = tmp_path_factory.mktemp("faces")
    for i, person in enumerate(PEOPLE):
        for number in range(1, IMAGES + 1):
            file = path / "faces" / person / f"{person}_{number:04d}.png"
            write_image(file, 10 * i + number, (SIDE, SIDE))
    write_pairs(path / "faces" / "pairs.txt")
    inputs = keras.Input((SIDE, SIDE, 3))
    embedding = layers.Dense(4, name="embedding")(layers.Flatten()(inputs))
    labels = tuple(PEOPLE)
    about = ModelDescription(
        "Faces", labels, labels, 3, SIDE, SIDE, (Output("embedding", "output"),)
    )
    save_model(keras.Model(inputs, embedding), path / "net.keras", about)
    rng = np.random.default_rng(1)
    names = [f"data/{p}/{n}.jpg" for p in PEOPLE for n in range(1, IMAGES + 1)]
    centers = np.repeat(np.eye(4, 6), IMAGES, axis=0)
    for name, noise in (("good", 0.005), ("bad", 2.0)):
        vectors = np.float32(centers + noise * rng.normal(size=centers.shape))
        labels = np.repeat(PEOPLE, IMAGES)
        write_features(path / f"{name}.npz", Features(vectors, labels, tuple(names)))
    contents = [jpeg(seed) for seed in range(24)]
    flags = [True, False] * 6
    (path / "lfw.bin").write_bytes(pickle.dumps((contents, flags), 2))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        yield path


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def values(path, model, measure):
    return [float(r["value"]) for r in rows(path) if (r["model"], r["measure"]) == (model, measure)]


def area(vectors, order):
    """Area under the ROC of all pairs, given features of images in this order."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    same, distances = [], []
    for line in Path("faces/pairs.txt").read_text().splitlines()[1:]:
        a, m, *rest = line.split()
        b, n = rest if len(rest) == 2 else (a, rest[0])
        first, second = unit[order.index((a, int(m)))], unit[order.index((b, int(n)))]
        same.append(a == b)
        distances.append(np.square(first - second).sum())
    return roc_auc_score(same, -np.array(distances))


def test_feature_dumps_of_two_models(folder):
    outcome = succeed(
        command,
        "--pairs faces/pairs.txt --feat good.npz bad.npz --far 0.1 0.5 --csv out.csv "
        "--plot roc.svg",
    )
    assert outcome.out.startswith("24 pairs in 2 folds, in percent\n")
    lines = [line.split() for line in outcome.out.splitlines()]
    header = "model accuracy TAR@FAR=0.1 TAR@FAR=0.5 AUC threshold".split()
    assert header in lines and outcome.err == ""
    good = next(line for line in lines if line[:1] == ["good"])
    assert good[1:4] == ["100.00", "±", "0.00"] and good[-2] == "100.00"
    assert values("out.csv", "good", "accuracy") == [1, 1]
    assert len(values("out.csv", "bad", "TAR")) == 4
    with np.load("bad.npz") as dump:
        vectors = dump["features"]
    order = [(person, number) for person in PEOPLE for number in range(1, IMAGES + 1)]
    expected = area(vectors, order)
    assert values("out.csv", "bad", "AUC") == pytest.approx([expected])
    svg = Path("roc.svg").read_text()
    assert "ROC over all pairs" in svg and "good" in svg and "bad" in svg
    facts = json.loads(Path("out.csv.run.json").read_text())
    assert [one["model"] for one in facts["results"]] == ["good", "bad"]


@pytest.mark.parametrize("mirror", [False, True])
def test_a_model_on_a_folder(folder, mirror):
    options = "--data_root faces --model net.keras --batch_size 7 --csv m.csv --overwrite"
    succeed(command, options + " --mirror" * mirror)
    kernel, bias = keras.models.load_model("net.keras").get_layer("embedding").get_weights()
    images = {}
    for path in sorted(Path("faces").glob("*/*.png")):
        pixels = keras.utils.img_to_array(keras.utils.load_img(path))
        views = [pixels, pixels[:, ::-1]] if mirror else [pixels]
        images[path.parent.name, int(path.stem[-4:])] = sum(
            v.ravel() @ kernel + bias for v in views
        )
    expected = area(np.array(list(images.values())), list(images))
    assert values("m.csv", "net", "AUC") == pytest.approx([expected], abs=1e-6)


def test_a_published_bin(folder):
    outcome = succeed(command, "--pairs lfw.bin --model net.keras --folds 3 --label ours")
    assert outcome.out.startswith("12 pairs in 3 folds, in percent\n") and "ours" in outcome.out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--pairs faces/pairs.txt", "give either saved models (--model) or feature dumps"),
        ("--model net.keras", "--pairs FILE is missing"),
        ("--model net.keras --pairs faces/pairs.txt", "--data_root DIR is missing"),
        ("--model net.keras --pairs lfw.bin --data_root faces", "leave --data_root out"),
        ("--feat good.npz --pairs lfw.bin", "image names, which lfw.bin does not have"),
        ("--feat good.npz --pairs faces/pairs.txt --mirror", "--mirror is for --model, not"),
        ("--feat good.npz --pairs faces/pairs.txt --folds 1", "'1' is not an integer from 2"),
        ("--feat good.npz --pairs one.txt", "1 folds are too few"),
        ("--feat good.npz --pairs faces/pairs.txt --plot x.pdf", "--plot x.pdf"),
        ("--feat good.npz bad.npz --pairs faces/pairs.txt --label a", "1 names for 2 models"),
    ],
)
def test_refused(folder, options, message):
    write_lines(folder / "one.txt", ["1", "ann 1 2", "ann 1 bo 2"])
    outcome = run(command, options)
    assert outcome.status == 2 and message in outcome.err
    assert len(outcome.err.splitlines()) == 1


def test_pairs_of_missing_images_are_named(folder):
    write_lines(folder / "more.txt", ["ann 1 7", "ann 1 bo 2"])
    outcome = run(command, "--feat good.npz --pairs more.txt")
    assert outcome.status == 1
    assert "more.txt names 1 images that are missing in good.npz: ann 7" in outcome.err
