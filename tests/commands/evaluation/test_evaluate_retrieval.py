"""evaluate_retrieval.py: tables, CSV, pictures and errors."""

import csv
import json
import pickle
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import evaluate_retrieval
import learn_image_embeddings
from datasets import get_dataset
from evaluation.feature_dumps import Features, write_features
from tests.commands.running import TINY, run, succeed
from tests.fake_data import write_lines

# Root 0; classes 3 and 4 are siblings below 1, class 5 is alone below 2.
PAIRS = ["0 1", "0 2", "1 3", "1 4", "2 5"]
HEIGHT = {"33": 1, "44": 1, "55": 1, "34": 0.5, "35": 0, "45": 0}
WUP = {"33": 1, "44": 1, "55": 1, "34": 2 / 3, "35": 1 / 3, "45": 1 / 3}

# Features on a line, so that rankings can be read off it without normalization.
PLACES = [0, 1, 3, 7, 15, 31]
LABELS = [3, 4, 3, 5, 4, 5]


def write(path, places=PLACES, labels=LABELS):
    vectors = np.array(places, dtype=np.float32).reshape(len(places), -1)
    names = tuple(str(i) for i in range(len(vectors)))
    write_features(path, Features(vectors, np.array(labels), names))
    return path


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working directory with a taxonomy and the dumps of two models."""
    monkeypatch.chdir(tmp_path)
    write_lines(tmp_path / "tree.txt", PAIRS)
    write_lines(tmp_path / "is_a.txt", (" ".join(reversed(line.split())) for line in PAIRS))
    write(tmp_path / "one.npz")
    write(tmp_path / "two.pickle", PLACES[::-1], LABELS[::-1])
    return tmp_path


def expected(table, places=PLACES, labels=LABELS):
    """Mean HP@k by looking along the line."""
    curves = []
    for place, label in zip(places, labels, strict=True):
        others = sorted((abs(p - place), c) for p, c in zip(places, labels, strict=True))[1:]
        found = [table["".join(sorted(f"{label}{c}"))] for _, c in others]
        best = np.cumsum(sorted(found, reverse=True))
        curves.append(np.cumsum(found) / best)
    return np.mean(curves, axis=0)


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def values(path, model, similarity, measure):
    """Value by k."""
    key = (model, similarity, measure)
    return {
        row["k"]: float(row["value"])
        for row in rows(path)
        if (row["model"], row["similarity"], row["measure"]) == key
    }


def test_tables_and_csv_of_two_models(folder):
    outcome = succeed(
        evaluate_retrieval,
        "--hierarchy tree.txt --feat one.npz two.pickle --label ours --label theirs --norm no "
        "--k 1 3 --clip_ahp 3 --csv out.csv",
    )
    for name, table in (("LCS height", HEIGHT), ("Wu-Palmer", WUP)):
        curve = expected(table)
        areas = [np.trapezoid(curve[:k]) / k for k in (5, 3)]
        figures = "  ".join(f"{x:7.4f}" for x in (*areas, curve[0], curve[2])).split()
        lines = [line.split() for line in outcome.out.splitlines()]
        assert [*name.split(), "AHP", "AHP@3", "HP@1", "HP@3"] in lines
        assert ["ours", *figures] in lines and ["theirs", *figures] in lines
        found = values("out.csv", "theirs", name, "HP")
        assert list(found) == ["1", "2", "3", "4", "5"]
        np.testing.assert_allclose(list(found.values()), curve)
        assert values("out.csv", "ours", name, "AHP") == pytest.approx(
            {"5": areas[0], "3": areas[1]}
        )
    # Ranks of the only other image of the class, read off the line.
    precision = np.mean([1 / r for r in (2, 4, 2, 5, 3, 2)])
    assert values("out.csv", "ours", "Same class", "mAP") == pytest.approx({"": precision})
    assert outcome.out.startswith("6 images of 3 classes\n")
    assert outcome.err == ""
    facts = json.loads((folder / "out.csv.run.json").read_text())
    assert facts["dataset"] == {"images": 6, "classes": 3}
    assert len(facts["results"]) == 2 * (1 + 2 * 2)  # of each model, mAP and AHP of each kind


def test_the_published_way_to_name_several_models(folder):
    options = "--hierarchy tree.txt --csv out.csv --overwrite "
    one = "--feat one.npz --label a --norm yes --feat two.pickle --label b --norm no"
    succeed(evaluate_retrieval, options + one)
    cosine, euclidean = (values("out.csv", m, "LCS height", "HP") for m in "ab")
    np.testing.assert_allclose(list(euclidean.values()), expected(HEIGHT))
    assert cosine != euclidean
    succeed(evaluate_retrieval, options + "--feat one.npz two.pickle --norm no --label a b")
    assert values("out.csv", "a", "LCS height", "HP") == pytest.approx(euclidean)


def test_hierarchies_upside_down_with_text_labels_and_shipped_ones(folder):
    options = "--feat one.npz --norm no --csv out.csv --overwrite "
    for more in ("--hierarchy is_a.txt --is_a", "--hierarchy tree.txt --str_ids"):
        succeed(evaluate_retrieval, options + more)
        found = values("out.csv", "one", "Wu-Palmer", "HP")
        np.testing.assert_allclose(list(found.values()), expected(WUP))
    assert succeed(evaluate_retrieval, options + "--hierarchy cifar100").out


def test_a_class_list_leaves_the_other_images_out(folder):
    write_lines(folder / "list.txt", ["4 the first", "3"])
    succeed(
        evaluate_retrieval,
        "--hierarchy tree.txt --feat one.npz --norm no --class_list list.txt --csv out.csv",
    )
    places, labels = zip(
        *((p, c) for p, c in zip(PLACES, LABELS, strict=True) if c != 5), strict=True
    )
    found = values("out.csv", "one", "LCS height", "HP")
    np.testing.assert_allclose(list(found.values()), expected(HEIGHT, places, labels))


def test_pictures(folder):
    options = "--hierarchy tree.txt --feat one.npz two.pickle --norm yes no "
    succeed(evaluate_retrieval, options + "--plot hp.png")
    with Image.open("hp.png") as image:
        assert image.format == "PNG" and image.width > 1000
        assert len(np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0)) > 20
    options += "--label _a $b$c$ "
    succeed(evaluate_retrieval, options + "--plot hp.svg --max_k 4")
    assert ET.parse("hp.svg").getroot().tag == "{http://www.w3.org/2000/svg}svg"
    first = (folder / "hp.svg").read_bytes()
    succeed(evaluate_retrieval, options + "--plot hp.svg --max_k 4 --overwrite")
    assert (folder / "hp.svg").read_bytes() == first
    assert b">_a</text>" in first and b">$b$c$</text>" in first


@pytest.mark.parametrize(
    ("options", "status", "named"),
    [
        ("--feat one.npz absent.npz", 1, "absent.npz"),
        ("--feat one.npz fewer.npz", 1, "fewer.npz has 5 images, one.npz has 6"),
        ("--feat one.npz other.npz", 1, "other.npz has 1 images of class 3, one.npz has 2"),
        ("--feat unknown.npz", 2, "no class 77"),
        ("--feat nan.npz", 1, "not finite"),
        ("--feat single.npz", 1, "two images"),
        ("--feat tree.txt", 1, "tree.txt"),
        ("--feat one.npz --label a b", 2, "2 names for 1"),
        ("--feat one.npz two.pickle --label a a", 2, "same name, a"),
        ("--feat one.npz two.pickle --norm no no no", 2, "--norm: 3 values for 2"),
        ("--feat one.npz --k 6", 2, "--k 6"),
        ("--feat one.npz --max_k 6", 2, "--plot_max 6"),
        ("--feat one.npz --clip_ahp 6", 2, "--clip_ahp 6"),
        ("--feat one.npz --clip_ahp 1", 2, "--clip_ahp: '1'"),
        ("--feat one.npz --k 0", 2, "--k"),
        ("--feat one.npz --norm maybe", 2, "maybe"),
        ("--feat one.npz --prec_type height", 2, "LCS_HEIGHT"),
        ("--feat one.npz --classes_from sem.npz", 2, "--classes_from needs --dataset"),
        ("--feat published.pickle", 1, "published.pickle lacks labels"),
        ("--feat published.pickle --dataset Digits", 1, "labels of shape (896,)"),
        ("--feat one.npz --dataset Digits", 1, "one.npz"),
        ("--feat one.npz --plot hp.gif", 2, "hp.gif"),
        ("--feat one.npz --plot old.png", 2, "old.png"),
        ("--feat one.npz --csv missing/out.csv", 2, "missing"),
        ("--feat one.npz --csv same.png --plot same.png", 2, "same.png"),
        ("--feat one.npz --class_list list.txt", 2, "9"),
        ("--feat one.npz --hierarchy nowhere.txt", 1, "nowhere.txt"),
        ("", 2, "--feat"),
    ],
)
def test_unsuitable_input_gives_a_one_line_error(folder, options, status, named):
    write(folder / "fewer.npz", PLACES[1:], LABELS[1:])
    write(folder / "other.npz", PLACES, [4, *LABELS[1:]])
    write(folder / "unknown.npz", PLACES, [77, *LABELS[1:]])
    write(folder / "nan.npz", [np.nan, *PLACES[1:]])
    write(folder / "single.npz", [1], [3])
    write_lines(folder / "list.txt", ["3", "9"])
    (folder / "old.png").write_bytes(b"mine")
    (folder / "published.pickle").write_bytes(pickle.dumps({"feat": {0: [1.0], 1: [2.0]}}))
    if "--hierarchy" not in options:
        options += " --hierarchy tree.txt"
    outcome = run(evaluate_retrieval, options)
    assert outcome.status == status
    (line,) = outcome.err.splitlines()
    assert line.startswith("evaluate_retrieval.py: error: ") and named in line
    assert outcome.out == ""
    assert (folder / "old.png").read_bytes() == b"mine"


def test_the_published_options(folder):
    """Features as they are unless --norm says yes; one similarity; k up to --plot_max."""
    options = "--hierarchy tree.txt --feat one.npz --csv out.csv --overwrite "
    succeed(evaluate_retrieval, options + "--prec_type WUP --plot_max 4 --plot hp.png")
    found = values("out.csv", "one", "Wu-Palmer", "HP")
    assert list(found.values()) == pytest.approx(expected(WUP)[:4])
    assert not values("out.csv", "one", "LCS height", "HP") and Path("hp.png").exists()
    outcome = succeed(
        evaluate_retrieval, options + "--prec_type LCS_HEIGHT --plot_max 0 --plot 0.png"
    )
    assert "LCS height" in outcome.out and "Wu-Palmer" not in outcome.out
    assert not Path("0.png").exists()


def published(folder, vectors):
    """A dump as the published code writes them, in mixed order."""
    order = np.random.default_rng(0).permutation(len(vectors)).tolist()
    content = {"feat": {i: vectors[i].astype(np.float64) for i in order}}
    (folder / "published.pickle").write_bytes(pickle.dumps(content))


@pytest.mark.parametrize("classes", [range(10), (7, 1, 4)])
def test_labels_of_published_dumps_come_from_the_data_set(folder, classes):
    digits = get_dataset("Digits")
    labels = np.array(digits.labels)[digits.test.labels]
    labels = labels[np.isin(labels, classes)]
    vectors = np.random.default_rng(1).normal(size=(len(labels), 5))
    published(folder, vectors)
    write(folder / "named.npz", vectors, labels)
    np.savez(folder / "sem.npz", embedding=np.eye(len(classes)), ind2label=list(classes))
    tree = ["10 11", "10 12", *(f"{11 + digit % 2} {digit}" for digit in range(10))]
    write_lines(folder / "digits.txt", tree)
    options = "--hierarchy digits.txt --dataset Digits --classes_from sem.npz"
    outcome = succeed(
        evaluate_retrieval, f"{options} --feat published.pickle named.npz --label a b"
    )
    first, second, *_ = (line for line in outcome.out.splitlines() if line[:2] in ("a ", "b "))
    assert first[1:] == second[1:]
    assert outcome.out.startswith(f"{len(labels)} images of {len(classes)} classes")
    published(folder, vectors[:-1])
    outcome = run(evaluate_retrieval, f"{options} --feat published.pickle")
    assert outcome.status == 1 and f"{len(labels) - 1} features" in outcome.err


def test_from_training_to_retrieval(folder):
    """Digits under a taxonomy of odd and even numbers, through a pickle."""
    tree = ["10 11", "10 12", *(f"{11 + digit % 2} {digit}" for digit in range(10))]
    write_lines(folder / "digits.txt", tree)
    succeed(learn_image_embeddings, f"{TINY} --embedding onehot --epochs 1 --feature_dump f.pickle")
    outcome = succeed(evaluate_retrieval, "--hierarchy digits.txt --feat f.pickle --csv out.csv")
    assert outcome.out.startswith("896 images of 10 classes\n")
    found = values("out.csv", "f", "LCS height", "HP")
    assert len(found) == 250 and all(0 < value < 1 for value in found.values())
