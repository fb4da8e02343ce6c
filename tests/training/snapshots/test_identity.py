"""Snapshots belong to the content of the training data."""

import json
import os
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

import learn_classifier
import learn_image_embeddings
from storage.seals import seal
from tests.commands.running import TINY, run, succeed
from tests.permissions import folder_for_all, ordinary_user
from training.snapshots import identity
from utils import UserError


def snapshot_of(command, options: str) -> bytes:
    succeed(command, f"{options} --epochs 1 --snapshot s.h5")
    return Path("s.h5").read_bytes()


def check_refused(command, options: str, content: bytes, named: str) -> None:
    outcome = run(command, f"{options} --epochs 2 --snapshot s.h5")
    assert outcome.status == 1 and outcome.out == ""
    last = outcome.err.splitlines()[-1]
    assert "--snapshot s.h5: belongs to another run, with " in last and named in last
    assert Path("s.h5").read_bytes() == content


def test_the_content_of_a_class_list_counts_not_its_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("classes.txt").write_text("3\n5\n7\n")
    content = snapshot_of(learn_classifier, f"{TINY} --class_list classes.txt")
    Path("classes.txt").rename("same.txt")
    Path("classes.txt").write_text("3\n7\n5\n")
    check_refused(learn_classifier, f"{TINY} --class_list classes.txt", content, "classes '3 (")
    succeed(learn_classifier, f"{TINY} --class_list same.txt --epochs 2 --snapshot s.h5")


def test_the_content_of_class_embeddings_counts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(name, vectors):
        np.savez(name, embedding=np.float32(vectors), ind2label=np.arange(10))

    write("e.npz", np.eye(10)[:, ::-1])
    options = f"{TINY} --embedding e.npz"
    content = snapshot_of(learn_image_embeddings, options)
    write("e.npz", np.eye(10)[::-1] * 0.5)
    check_refused(learn_image_embeddings, options, content, "class targets '10 (")


def test_the_lists_of_images_count(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        Path("images", name).mkdir(parents=True)
        for number in range(3):
            Image.new("RGB", (9, 9), (40 * number, 9, 200)).save(f"images/{name}/{number}.png")
    Path("images/test.txt").write_text("a/2.png\nb/2.png\n")
    Path("images/train.txt").write_text("a/0.png\nb/0.png\n")
    options = "--dataset Folder --data_root images --architecture tiny --batch_size 2"
    options += " --target_size 8 --crop_size 8 --repeats 1"
    content = snapshot_of(learn_classifier, options)
    Path("images/train.txt").write_text("a/1.png\nb/0.png\n")
    check_refused(learn_classifier, options, content, "training images '2 (")


def test_unreadable_weights_give_a_one_line_error():
    with folder_for_all() as folder:
        path = folder / "w.h5"
        path.touch(mode=0)
        with ordinary_user(), pytest.raises(UserError) as raised:
            identity._file(path)
    assert str(raised.value) == f"cannot read {path}: Permission denied"


def test_the_name_of_an_image_may_be_any_bytes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for label in "ab":
        os.makedirs(f"images/{label}")
        for number in range(3):
            Image.new("RGB", (9, 9)).save(os.fsencode(f"images/{label}/") + b"\xf6%d.png" % number)
    options = "--dataset Folder --data_root images --architecture tiny --batch_size 2"
    snapshot_of(learn_classifier, f"{options} --target_size 8 --crop_size 8 --repeats 1")


@pytest.mark.parametrize(("name", "other"), [("backend", "jax"), ("keras", "3.0.0")])
def test_another_library_is_refused(tmp_path, monkeypatch, name, other):
    monkeypatch.chdir(tmp_path)
    snapshot_of(learn_classifier, TINY)
    with h5py.File("s.h5", "a") as file:
        state = json.loads(file["run_state"][()])
        state["identity"][name] = other
        del file["run_state"]
        file["run_state"] = np.bytes_(json.dumps(state))
        seal(file)
    check_refused(learn_classifier, TINY, Path("s.h5").read_bytes(), f"{name} {other!r} instead of")


def test_the_metrics_of_all_epochs_are_the_same_ones(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = snapshot_of(learn_classifier, TINY)
    check_refused(learn_classifier, f"{TINY} --top_k_acc 5", content, "top_k_acc '[]' instead of")


@pytest.mark.parametrize(
    "change",
    [{"more": 1}, {"records": 1}, {"records": ["epoch"]}],
)
def test_states_of_another_form_are_damaged(tmp_path, monkeypatch, change):
    monkeypatch.chdir(tmp_path)
    snapshot_of(learn_classifier, TINY)
    with h5py.File("s.h5", "a") as file:
        state = json.loads(file["run_state"][()]) | change
        del file["run_state"]
        file["run_state"] = np.bytes_(json.dumps(state))
        seal(file)
    outcome = run(learn_classifier, f"{TINY} --epochs 2 --snapshot s.h5")
    assert outcome.status == 1 and "is damaged" in outcome.err.splitlines()[-1]


def test_an_option_counts_unless_it_is_listed():
    commands = (learn_classifier, learn_image_embeddings)
    known = {action.dest for command in commands for action in command.build_parser()._actions}
    assert identity._OTHERS - known == {"command_line"}
    assert identity.determining(["seed", "snapshot", "new"]) == ["seed", "new"]
