"""Crafted files given to the commands: one line of error, and nothing is changed."""

import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

import compute_class_embedding
import evaluate_retrieval
import export_model
import learn_classifier
import learn_image_embeddings
import plot_hierarchy
import predict
from tests import fake_data
from tests.commands.running import DATA, FOLDER, TINY, USAGE, check_refused, run
from tests.hostile.crafted import CRAFTED, IMAGES
from tests.hostile.models import content


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The working directory, with a model and images that are right in themselves."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.keras").write_bytes(content(".keras"))
    fake_data.write_folder(tmp_path / "data")
    return tmp_path


def crafted(kind: str, title: str, file: str) -> Callable[[Path], None]:
    """Write a file that readers are tested with."""
    return lambda folder: (folder / file).write_bytes(CRAFTED[kind][title]())


def pipe_among_images(folder: Path) -> None:
    os.mkfifo(folder / "data/train/kind_1/pipe.png")


def list_that_leads_out(folder: Path) -> None:
    (folder / "data/train.txt").write_text("a/../../m.keras\n")
    (folder / "data/test.txt").write_text("a/../../m.keras\n")


def linked_weights(folder: Path) -> None:
    """The weights of another file, which the owner of the first should not get to see."""
    with h5py.File(folder / "secret.h5", "w") as file:
        file["kernel"] = np.ones((3, 3, 3, 8), "f4")
    with h5py.File(folder / "w.h5", "w") as file:
        variables = file.create_group("layers/conv2d/vars")
        variables.attrs["name"] = "conv0"
        variables["0"] = h5py.ExternalLink("secret.h5", "/kernel")


def text(name: str, content: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text(content)


CASES = [
    (
        predict,
        "--model m.keras data",
        crafted("model .keras", "a lambda", "m.keras"),
        DATA,
        "Lambda",
    ),
    (
        predict,
        "--model m.keras data",
        crafted("model .keras", "10**12 units", "m.keras"),
        DATA,
        "m.keras",
    ),
    (
        predict,
        "--model m.keras data",
        crafted("model .keras", "a link to another file", "m.keras"),
        DATA,
        "another file",
    ),
    (
        predict,
        "--model zero.keras data",
        lambda f: (f / "zero.keras").symlink_to("/dev/zero"),
        DATA,
        "a pipe or a device",
    ),
    (
        export_model,
        "--model m.keras --format saved_model --out o",
        crafted("model .keras", "a process", "m.keras"),
        DATA,
        "Popen",
    ),
    (
        evaluate_retrieval,
        "--feat f.pickle --hierarchy cub_flat",
        crafted("features .pickle", "a system call", "f.pickle"),
        DATA,
        "system",
    ),
    (
        evaluate_retrieval,
        "--feat f.pickle --hierarchy cub_flat",
        crafted("features .pickle", "lists of lists", "f.pickle"),
        DATA,
        "f.pickle",
    ),
    (
        compute_class_embedding,
        "--hierarchy tree.txt --out e.npz",
        text("tree.txt", "1 2\n2 1\n"),
        DATA,
        "cycle",
    ),
    (
        plot_hierarchy,
        "--hierarchy tree.txt --out t.svg",
        text("tree.txt", "1 2\n" * 300_000),
        DATA,
        "lines",
    ),
    (learn_classifier, f"{FOLDER} --data_root data", list_that_leads_out, DATA, "m.keras"),
    (learn_classifier, f"{TINY} --epochs 1 --finetune w.h5", linked_weights, DATA, "another file"),
    (
        learn_classifier,
        f"{TINY} --epochs 1 --class_list c.txt",
        lambda f: (f / "c.txt").symlink_to("/dev/zero"),
        DATA,
        "c.txt",
    ),
    (learn_classifier, f"{TINY} --sgd_schedule 1:inf,50", lambda folder: None, USAGE, "1:inf"),
    (
        learn_image_embeddings,
        f"{TINY} --embedding e.pickle",
        crafted("embeddings .pickle, protocol 4", "eval", "e.pickle"),
        DATA,
        "eval",
    ),
]


@pytest.mark.parametrize(
    ("command", "options", "harm", "status", "named"),
    CASES,
    ids=[f"{case[0].__name__} {case[4]}" for case in CASES],
)
def test_crafted_files_give_a_one_line_error(folder, command, options, harm, status, named):
    harm(folder)
    before = {path: path.lstat().st_mtime_ns for path in folder.rglob("*")}
    outcome = run(command, options)
    check_refused(outcome, f"{command.__name__}.py", status, named)
    assert {path: path.lstat().st_mtime_ns for path in folder.rglob("*")} == before


def test_a_pipe_among_images_is_left_out_and_named(folder):
    pipe_among_images(folder)
    outcome = run(learn_classifier, f"{FOLDER} --data_root data")
    assert outcome.status == 0
    assert "kind_1/pipe.png" in outcome.err


def test_an_image_that_is_far_too_large_leaves_the_others(folder):
    (folder / "huge.png").write_bytes(IMAGES["a PNG of 40,000 by 40,000"])
    outcome = run(predict, "--model m.keras huge.png data/train")
    assert outcome.status == DATA and len(outcome.out.splitlines()) == 1 + 12
    (line,) = [line for line in outcome.err.splitlines() if "huge.png" in line]
    assert "more than 89,478,485 pixels" in line
