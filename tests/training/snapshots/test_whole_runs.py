"""Resumed runs end exactly like uninterrupted ones; unsuitable snapshots are refused."""

import csv
import json
from pathlib import Path

import h5py
import pytest

import learn_classifier
import learn_image_embeddings
from tests.commands.running import TINY, history, run, same_arrays, succeed
from training.callbacks.epoch_log import EpochReporter
from training.snapshots.file import read_state

# Restarts of the schedule, a decay that counts steps, momentum, augmentation, two heads.
FULL = (
    f"{TINY} --embedding onehot --cls_weight 0.1 --sgdr_base_len 2 --nesterov "
    "--snapshot s.weights.h5 --weight_dump w.h5 --history h.csv"
)


def state_in(path) -> dict:
    with h5py.File(path) as file:
        return json.loads(file["run_state"][()])


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """Three epochs in one go, without and with a decay over the whole run."""
    folders = {}
    for decay in ("0", "0.1"):
        folders[decay] = tmp_path_factory.mktemp("uninterrupted")
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folders[decay])
            succeed(learn_image_embeddings, f"{FULL} --epochs 3 --max_decay {decay}")
    return folders


def check_same(folder, expected):
    assert same_arrays(folder / "w.h5", expected / "w.h5")
    assert same_arrays(folder / "s.weights.h5", expected / "s.weights.h5")
    assert (folder / "h.csv").read_text() == (expected / "h.csv").read_text()
    assert [row["epoch"] for row in history(folder / "h.csv")] == [1, 2, 3]


def test_more_epochs_resume_where_the_last_run_ended(tmp_path, monkeypatch, uninterrupted):
    monkeypatch.chdir(tmp_path)
    succeed(learn_image_embeddings, f"{FULL} --epochs 2")
    assert not same_arrays(tmp_path / "s.weights.h5", uninterrupted["0"] / "s.weights.h5")
    outcome = succeed(learn_image_embeddings, f"{FULL} --epochs 3 --overwrite")
    assert "Resuming from s.weights.h5 after epoch 2" in outcome.err
    assert [line for line in outcome.out.splitlines() if line.startswith("Epoch")] == [
        line for line in outcome.out.splitlines() if line.startswith("Epoch 3/3 - ")
    ]
    check_same(tmp_path, uninterrupted["0"])


@pytest.mark.parametrize("epochs_done", [1, 2])
def test_the_same_command_resumes_after_an_interruption(
    tmp_path, monkeypatch, uninterrupted, epochs_done
):
    monkeypatch.chdir(tmp_path)
    command = f"{FULL} --epochs 3 --max_decay 0.1"
    whole = EpochReporter.on_epoch_end

    def interrupted(self, epoch, logs=None):
        if epoch == epochs_done:
            raise KeyboardInterrupt
        whole(self, epoch, logs)

    with monkeypatch.context() as patch:
        patch.setattr(EpochReporter, "on_epoch_end", interrupted)
        outcome = run(learn_image_embeddings, command)
    assert outcome.status == 130
    assert outcome.err.splitlines()[-1] == (
        "learn_image_embeddings.py: interrupted; s.weights.h5 has the run up to epoch "
        f"{epochs_done}; repeat the command to resume"
    )
    assert outcome.out.count("Epoch") == epochs_done
    assert state_in("s.weights.h5")["epoch"] == epochs_done
    outcome = succeed(learn_image_embeddings, command)
    assert outcome.out.count("Epoch ") == 3 - epochs_done
    check_same(tmp_path, uninterrupted["0.1"])


def test_a_finished_run_is_only_evaluated_again(tmp_path, uninterrupted, monkeypatch):
    monkeypatch.chdir(tmp_path)
    expected = uninterrupted["0"]
    (tmp_path / "s.weights.h5").write_bytes((expected / "s.weights.h5").read_bytes())
    outcome = succeed(learn_image_embeddings, f"{FULL} --epochs 3")
    assert "Epoch 3" not in outcome.out and "Best epoch: " in outcome.out
    assert same_arrays(tmp_path / "w.h5", expected / "w.h5")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("--architecture tiny-wide", "architecture 'tiny' instead of 'tiny-wide'"),
        ("--dataset Digits-sub4", "dataset 'digits-sub5' instead of 'digits-sub4'"),
        ("--seed 1", "seed '0' instead of '1'"),
        ("--cls_weight 0", "cls_weight '0.1' instead of '0.0'"),
        ("--loss mse", "loss 'inv_corr' instead of 'mse'"),
        ("--batch_size 10", "batch_size '20' instead of '10'"),
    ],
)
def test_the_snapshot_of_another_run_is_refused(
    tmp_path, monkeypatch, uninterrupted, change, named
):
    monkeypatch.chdir(tmp_path)
    content = (uninterrupted["0"] / "s.weights.h5").read_bytes()
    (tmp_path / "s.weights.h5").write_bytes(content)
    outcome = run(learn_image_embeddings, f"{FULL} --epochs 3 {change}")
    assert outcome.status == 1 and outcome.out == ""
    last = outcome.err.splitlines()[-1]
    assert (
        last.startswith("learn_image_embeddings.py: error: --snapshot s.weights.h5: ")
        and named in last
    )
    assert (tmp_path / "s.weights.h5").read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["s.weights.h5"]


@pytest.mark.parametrize("damage", ["cut off", "text", "empty", "other HDF5"])
def test_a_damaged_snapshot_is_refused_and_left_alone(tmp_path, monkeypatch, uninterrupted, damage):
    monkeypatch.chdir(tmp_path)
    source = (uninterrupted["0"] / "s.weights.h5").read_bytes()
    content = {
        "cut off": source[: len(source) // 2],
        "text": b"hello",
        "empty": b"",
        "other HDF5": (uninterrupted["0"] / "w.h5").read_bytes(),
    }[damage]
    (tmp_path / "s.weights.h5").write_bytes(content)
    outcome = run(learn_image_embeddings, f"{FULL} --epochs 3")
    assert outcome.status == 1 and outcome.out == ""
    assert outcome.err.splitlines()[-1].startswith("learn_image_embeddings.py: error: --snapshot")
    assert "Traceback" not in outcome.err
    assert (tmp_path / "s.weights.h5").read_bytes() == content


def test_snapshot_best_keeps_only_the_best_epoch(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    succeed(
        learn_image_embeddings,
        f"{TINY} --embedding onehot --cls_weight 0.1 --epochs 4 --sgdr_base_len 2 "
        "--snapshot s.weights.h5 --snapshot_best val_prob_acc --history h.csv",
    )
    values = [row["val_prob_acc"] for row in history(tmp_path / "h.csv")]
    kept = state_in("s.weights.h5")
    assert kept["epoch"] == values.index(max(values)) + 1
    assert kept["best"] == pytest.approx(max(values), rel=1e-6)
    assert len(read_state(Path("s.weights.h5")).records) == kept["epoch"]


def test_an_unknown_metric_is_reported_with_the_known_ones(tmp_path):
    outcome = run(
        learn_classifier,
        f"{TINY} --epochs 2 --snapshot_best val_prob_acc --snapshot",
        tmp_path / "s.weights.h5",
    )
    assert outcome.status == 2 and "Epoch" not in outcome.out
    last = outcome.err.splitlines()[-1]
    assert "--snapshot_best" in last and "val_prob_acc" in last and "val_acc" in last


def test_fine_tuning_runs_resume(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    succeed(learn_image_embeddings, f"{TINY} --epochs 1 --embedding onehot --weight_dump p.h5")
    command = f"{TINY} --finetune p.h5 --finetune_init 1 --sgd_lr 0.01"
    succeed(learn_classifier, f"{command} --epochs 2 --weight_dump whole.h5")
    first = succeed(learn_classifier, f"{command} --epochs 1 --snapshot s.weights.h5")
    assert "Last layers, epoch 1/1" in first.out
    second = succeed(
        learn_classifier, f"{command} --epochs 2 --snapshot s.weights.h5 --weight_dump w.h5"
    )
    assert "Last layers" not in second.out and "Epoch 2/2" in second.out
    assert same_arrays(tmp_path / "w.h5", tmp_path / "whole.h5")


def test_epochs_that_are_not_evaluated_resume_like_others(tmp_path, monkeypatch):
    """Evaluate every third epoch, the ends of cycles (the second and sixth) and the last."""
    monkeypatch.chdir(tmp_path)
    command = f"{TINY} --sgdr_base_len 2 --val_every 3 --epochs 7"
    succeed(learn_classifier, f"{command} --history whole.csv --weight_dump whole.h5")
    with open("whole.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    measured = {name: [bool(row[name]) for row in rows] for name in rows[0]}
    evaluated = [False, True, True, False, False, True, True]
    assert measured.pop("val_loss") == measured.pop("val_acc") == evaluated
    assert all(all(values) for values in measured.values())

    own = f"{command} --history h.csv --weight_dump w.h5 --snapshot s.h5"
    whole = EpochReporter.on_epoch_end

    def interrupted(self, epoch, logs=None):
        if epoch == 4:
            raise KeyboardInterrupt
        whole(self, epoch, logs)

    with monkeypatch.context() as patch:
        patch.setattr(EpochReporter, "on_epoch_end", interrupted)
        assert run(learn_classifier, own).status == 130
    outcome = succeed(learn_classifier, own)
    assert Path("h.csv").read_text() == Path("whole.csv").read_text()
    assert same_arrays(tmp_path / "w.h5", tmp_path / "whole.h5")
    best = max(float(row["val_acc"]) for row in rows if row["val_acc"])
    assert f"val_acc: {best:.4f}" in outcome.out.splitlines()[-1]
