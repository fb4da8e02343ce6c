"""compute_class_embedding.py: published files in all their forms; output and errors."""

import os
import pickle
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import compute_class_embedding
import learn_image_embeddings
from embeddings import load_class_embeddings
from tests.commands.running import run, succeed
from tests.embeddings import trees
from tests.fake_data import write_cub, write_lines

ROOT = Path(__file__).parents[3]
EDGES = trees.random_edges(30, 3)
LEAVES = sorted({child for _, child in EDGES} - {parent for parent, _ in EDGES})


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder with one tree in several forms, as the working folder."""
    monkeypatch.chdir(tmp_path)
    write_lines(tmp_path / "tree.txt", [f"{parent} {child}" for parent, child in EDGES])
    write_lines(tmp_path / "is_a.txt", [f"{child}\t{parent}" for parent, child in EDGES])
    write_lines(tmp_path / "words.txt", [f"n{parent} n{child}" for parent, child in EDGES])
    write_lines(tmp_path / "some.txt", [f"{label} and a name" for label in LEAVES[5:1:-1]])
    # No vectors on the unit sphere: 1, 2 and 3 hang together in pairs, below 4, 5 and 6.
    pairs = ["4 1", "4 2", "5 2", "5 3", "7 5", "8 7", "8 4", "7 10", "10 11", "11 12"]
    write_lines(tmp_path / "graph.txt", pairs)
    return tmp_path


def compute(options):
    outcome = succeed(compute_class_embedding, f"{options} --out e.npz --overwrite")
    with np.load("e.npz", allow_pickle=False) as file:
        assert sorted(file.files) == ["embedding", "ind2label"]
        return outcome, file["embedding"], file["ind2label"].tolist()


@pytest.mark.parametrize("options", ["--hierarchy tree.txt", "--hierarchy is_a.txt --is_a"])
def test_all_leaves_in_ascending_order(options):
    outcome, vectors, labels = compute(options)
    assert labels == LEAVES and vectors.dtype == np.float64
    expected = trees.similarities(EDGES, LEAVES)
    np.testing.assert_allclose(vectors @ vectors.T, expected, rtol=0, atol=1e-12)
    first, second, third = outcome.out.splitlines()
    assert first == f"{len(LEAVES)} classes, {len(LEAVES)} dimensions, root height " + str(
        trees.height(EDGES, 0)
    )
    largest, mean = re.fullmatch(
        r"Deviation of the dot .*: largest (\S+), mean (\S+)", second
    ).groups()
    assert 0 < float(mean) < float(largest) < 1e-14
    assert third == "Written to e.npz"


def test_ids_that_are_text():
    _, vectors, labels = compute("--hierarchy words.txt --str_ids")
    assert labels == sorted(f"n{leaf}" for leaf in LEAVES)
    expected = trees.similarities(EDGES, [int(label[1:]) for label in labels])
    np.testing.assert_allclose(vectors @ vectors.T, expected, rtol=0, atol=1e-12)


def test_a_class_list_restricts_and_orders():
    _, vectors, labels = compute("--hierarchy tree.txt --class_list some.txt")
    assert labels == LEAVES[5:1:-1]
    expected = trees.similarities(EDGES, labels)
    np.testing.assert_allclose(vectors @ vectors.T, expected, rtol=0, atol=1e-12)


def test_printed_deviations_are_measured():
    outcome, vectors, _ = compute("--hierarchy tree.txt --method approx_sim --num_dim 3")
    deviations = np.abs(vectors @ vectors.T - trees.similarities(EDGES, LEAVES))
    expected = f"largest {deviations.max():.2g}, mean {deviations.mean():.2g}"
    assert expected in outcome.out and f"{len(LEAVES)} classes, 3 dimensions" in outcome.out


def test_vectors_of_unit_length():
    outcome, vectors, _ = compute("--hierarchy tree.txt --method mds --norm")
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1)
    distances = np.sqrt((2 - 2 * vectors @ vectors.T).clip(0))
    worst = np.abs(distances - (1 - trees.similarities(EDGES, LEAVES))).max()
    assert worst > 0.1 and f"largest {worst:.2g}" in outcome.out


@pytest.mark.parametrize(("method", "less"), [("spheres", 1), ("mds", 1), ("approx_sim", 0)])
def test_the_other_methods(method, less):
    outcome, vectors, _ = compute(f"--hierarchy tree.txt --method {method}")
    assert vectors.shape == (len(LEAVES), len(LEAVES) - less)
    measure = "dot products" if method == "approx_sim" else "Euclidean distances"
    assert f"Deviation of the {measure}" in outcome.out


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        ("--hierarchy graph.txt --class_list g.txt", 1, "not positive semi-definite"),
        ("--hierarchy graph.txt --class_list g.txt", 1, "several parents, such as 2"),
        ("--hierarchy missing.txt", 1, "missing.txt"),
        ("--hierarchy cyclic.txt", 1, "cycle"),
        ("--hierarchy is_a.txt", 1, "give --is_a"),
        ("--hierarchy words.txt", 1, "--str_ids"),
        ("--hierarchy tree.txt --class_list unknown.txt", 2, "no class cat;"),
        ("--hierarchy tree.txt --class_list twice.txt", 2, "more than once"),
        ("--hierarchy tree.txt --class_list one.txt", 2, "need at least two"),
        ("--hierarchy tree.txt --class_list empty.txt", 2, "need at least two"),
        ("--hierarchy tree.txt --class_list none.txt", 1, "none.txt"),
        ("--hierarchy tree.txt --num_dim 3", 2, "approx_sim"),
        ("--hierarchy tree.txt --method mds --num_dim 99", 2, "99"),
        ("--hierarchy tree.txt --method mds --num_dim 0", 2, "0"),
        ("--hierarchy tree.txt --method spheres --norm", 2, "--norm"),
        ("--hierarchy tree.txt --method sphere", 2, "unitsphere"),
        ("--hierarchy cub_deep --is_a", 2, "leave it out"),
    ],
)
def test_errors_are_one_line(folder, options, status, said):
    write_lines(folder / "g.txt", [1, 2, 3, 12])
    write_lines(folder / "cyclic.txt", ["0 1", "1 2", "2 3", "3 1"])
    write_lines(folder / "unknown.txt", [LEAVES[0], "cat"])
    write_lines(folder / "twice.txt", [LEAVES[0]] * 2)
    write_lines(folder / "one.txt", LEAVES[:1])
    write_lines(folder / "empty.txt", [])
    outcome = run(compute_class_embedding, f"{options} --out new.npz")
    assert outcome.status == status and outcome.out == ""
    assert said in outcome.err and len(outcome.err.splitlines()) == 1
    assert list(folder.glob("*.npz")) == []


def test_a_graph_is_embedded_where_it_can_be(folder):
    """Several parents are no reason to refuse similarities that vectors can have."""
    outcome = succeed(
        compute_class_embedding, "--hierarchy graph.txt --method approx_sim --out graph.npz"
    )
    assert "largest" in outcome.out


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("e.txt", "end in .npz or .pickle"),
        ("none/e.npz", "no folder none"),
        ("old.npz", "--overwrite"),
    ],
)
def test_outputs_are_checked_first(folder, out, said):
    (folder / "old.npz").write_text("precious")
    outcome = run(compute_class_embedding, f"--hierarchy missing.txt --out {out}")
    assert outcome.status == 2 and said in outcome.err
    assert (folder / "old.npz").read_text() == "precious"


def test_the_shipped_files_are_what_the_command_writes(folder):
    for name in ("cifar100", "cub_flat"):
        _, vectors, labels = compute(f"--hierarchy {name}")
        with np.load(ROOT / f"embeddings/{name}.unitsphere.npz", allow_pickle=False) as file:
            np.testing.assert_allclose(vectors, file["embedding"], rtol=0, atol=1e-14)
            assert labels == file["ind2label"].tolist()


def test_no_heavy_library_is_needed():
    code = (
        "import sys, compute_class_embedding as command\n"
        "command.main('--hierarchy cub_deep --out e.npz'.split())\n"
        "print(*sys.modules)"
    )
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert time.perf_counter() - start < 30
    assert done.stderr == "" and done.returncode == 0
    modules = done.stdout.splitlines()[-1].split()
    assert "embeddings.taxonomy.solvers" in modules
    assert not {"keras", "tensorflow", "matplotlib", "sklearn", "scipy"} & set(modules)


def test_a_pickle_in_the_published_layout():
    _, vectors, labels = compute("--hierarchy tree.txt")
    succeed(compute_class_embedding, "--hierarchy tree.txt --out e.pickle")
    with open("e.pickle", "rb") as file:
        content = pickle.load(file)  # noqa: S301 (written here)
    assert list(content) == ["embedding", "ind2label", "label2ind"]
    assert content["embedding"].dtype == np.float64
    np.testing.assert_array_equal(content["embedding"], vectors)
    assert content["ind2label"] == labels and type(content["ind2label"][0]) is int
    assert content["label2ind"] == {label: i for i, label in enumerate(labels)}
    again = load_class_embeddings("e.pickle")
    assert again.labels == tuple(labels)
    np.testing.assert_array_equal(again.vectors, vectors.astype(np.float32))


def test_a_pickle_of_text_labels():
    succeed(compute_class_embedding, "--hierarchy words.txt --str_ids --out e.pickle")
    assert all(type(label) is str for label in load_class_embeddings("e.pickle").labels)


def test_a_hierarchy_of_several_roots(folder):
    """Embed classes below one root; refuse those of different roots."""
    write_lines(folder / "roots.txt", ["1 2", "1 3", "3 6", "4 5"])
    write_lines(folder / "list.txt", [2, 6])
    _, vectors, _ = compute("--hierarchy roots.txt --class_list list.txt")
    assert (vectors @ vectors.T).tolist() == [[1, 0], [0, 1]]
    outcome = run(compute_class_embedding, "--hierarchy roots.txt --out new.npz")
    assert outcome.status == 1 and "2 roots" in outcome.err and "no common ancestor" in outcome.err


def test_training_takes_shipped_embeddings_by_name(folder):
    write_cub(folder / "cub", classes=3)
    outcome = succeed(
        learn_image_embeddings,
        "--dataset CUB --data_root cub --target_size 16 --crop_size 16 --architecture tiny "
        "--embedding cub_deep --epochs 1 --batch_size 4 --no_progress --feature_dump f.npz",
    )
    said = "197 of the 200 class embeddings are left out: CUB does not have their classes"
    assert said in outcome.err and len(load_class_embeddings("cub_deep").labels) == 200
    with np.load("f.npz", allow_pickle=False) as file:
        assert file["features"].shape[1] == 200


def test_training_lists_the_shipped_embeddings_when_a_name_is_wrong(folder):
    outcome = run(learn_image_embeddings, "--dataset Digits --embedding cub_deeper")
    assert outcome.status == 2
    assert "unknown class embeddings 'cub_deeper'; did you mean cub_deep?" in outcome.err
    assert "cifar100, cub_deep, cub_flat, cub_wikispecies, nab" in outcome.err
