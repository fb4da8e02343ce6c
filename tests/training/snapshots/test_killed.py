"""Killed runs: leftovers, and repeating the command."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import pytest

import learn_classifier
import learn_image_embeddings
from storage.temporary import leftovers
from tests.commands.running import TINY, record, run, same_arrays, succeed
from training import saving
from training.callbacks.epoch_log import EpochReporter
from training.snapshots.callback import Snapshot
from utils import generator

ROOT = Path(__file__).parents[3]
RUN = (
    f"{TINY} --embedding onehot --cls_weight 0.1 --sgdr_base_len 2 --epochs 8 --snapshot s.h5 "
    "--snapshot_minutes 0 --weight_dump w.h5 --model_dump m.keras --history h.csv"
)


def test_a_run_that_is_killed_at_random_ends_like_one_that_is_not(tmp_path, monkeypatch):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
    monkeypatch.chdir(whole)
    succeed(learn_image_embeddings, RUN)
    rng = generator("kills in a test")
    places = []
    for epoch in (2, 5, None):
        run_until(killed, epoch, rng.uniform(0, 0.1))
        with h5py.File(killed / "s.h5") as file:
            state = json.loads(file["run_state"][()])
        places.append((state["epoch"], state["step"]))
    assert places == sorted(set(places)) and places[-1] == (8, 0)
    for name in ("w.h5", "s.h5"):
        assert same_arrays(whole / name, killed / name)
    assert (whole / "h.csv").read_text() == (killed / "h.csv").read_text()
    names = ("s.h5", "w.h5", "m.keras", "h.csv", "s.h5.run.json", "w.h5.run.json")
    assert not [path for name in names for path in leftovers(killed / name)]
    assert not (killed / ".s.h5.lock").exists()


def run_until(folder: Path, epoch: int | None, delay: float) -> None:
    """Run the command; kill it so many seconds after an epoch, or let it end."""
    command = [sys.executable, "-m", "tests.commands.process", "learn_image_embeddings"]
    output = folder / "output"
    with open(output, "wb") as file:
        process = subprocess.Popen(
            [*command, *RUN.split()],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    if epoch is not None:
        while f"Epoch {epoch}/".encode() not in output.read_bytes() and process.poll() is None:
            time.sleep(0.01)
        time.sleep(delay)
        process.kill()
    assert process.wait() == (0 if epoch is None else -signal.SIGKILL), output.read_text()


class Killed(BaseException):
    """Stand-in for the end of the process."""


def killed(*arguments, **named):
    raise Killed


OUTPUTS = (
    f"{TINY} --epochs 2 --snapshot s.h5 --weight_dump w.h5 --model_dump m.keras "
    "--feature_dump f.npz --history h.csv --log_dir log"
)


@pytest.mark.parametrize(
    ("owner", "method"),
    [
        (Snapshot, "on_train_batch_end"),  # before the first epoch ended
        (Snapshot, "on_epoch_end"),  # between history and snapshot
        (saving, "save_weights"),  # the model is saved, the weights are not
        (saving, "write_run_record"),  # everything is saved but the last records
        (EpochReporter, "on_epoch_end"),
    ],
)
def test_the_same_command_finishes(tmp_path, monkeypatch, owner, method):
    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(owner, method, killed)
        run(learn_classifier, OUTPUTS)
    for name in ("s.h5", "w.h5", "h.csv.run.json"):
        left = tmp_path / f".{name}.k1lled_1.partial"
        left.mkdir(0o700)
        (left / "new.h5").touch()
    assert "final" not in record(tmp_path / "h.csv")
    succeed(learn_classifier, OUTPUTS)
    assert record(tmp_path / "h.csv")["final"] and record(tmp_path / "m.keras")["final"]
    assert not [name for name in os.listdir() if name.startswith(".")]
    # And once more, with nothing left to do but to judge.
    weights = (tmp_path / "w.h5").read_bytes()
    outcome = succeed(learn_classifier, OUTPUTS)
    assert "Epoch " not in outcome.out and same_arrays(tmp_path / "w.h5", tmp_path / "w.h5")
    assert len(weights) == len((tmp_path / "w.h5").read_bytes())


def test_partial_files_next_to_results_of_others_are_removed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    succeed(learn_classifier, f"{TINY} --epochs 0 --weight_dump w.h5")
    command = f"{TINY} --epochs 1 --snapshot s.h5 --weight_dump w.h5 --overwrite"
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(saving, "save_weights", killed)
        run(learn_classifier, command)
    (tmp_path / ".w.h5.k1lled_1.partial").mkdir(0o700)
    succeed(learn_classifier, command)
    assert not [name for name in os.listdir() if name.startswith(".")]
    assert record(tmp_path / "w.h5")["options"]["epochs"] == 1


def test_a_result_of_fewer_epochs_keeps_its_record(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = "--snapshot s.h5 --weight_dump w.h5"
    succeed(learn_classifier, f"{TINY} --epochs 1 {options}")
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(saving, "save_weights", killed)
        run(learn_classifier, f"{TINY} --epochs 2 {options} --overwrite")
    assert record(tmp_path / "w.h5")["options"]["epochs"] == 1
    outcome = run(learn_classifier, f"{TINY} --epochs 2 {options}")
    assert outcome.status == 2 and "--weight_dump w.h5: exists already" in outcome.err


def test_resumed_runs_refuse_to_overwrite_results_of_others(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    succeed(learn_classifier, f"{TINY} --epochs 1 --snapshot s.h5")
    for option, name in (
        ("weight_dump", "w.h5"),
        ("model_dump", "m.keras"),
        ("feature_dump", "f.npz"),
        ("history", "h.csv"),
    ):
        Path(name).write_text("somebody's")
        Path(f"{name}.run.json").write_text('{"run": "another"}')
        outcome = run(learn_classifier, f"{TINY} --epochs 2 --snapshot s.h5 --{option} {name}")
        assert outcome.status == 2 and f"--{option} {name}: exists already" in outcome.err
        assert Path(name).read_text() == "somebody's"
    Path("log").mkdir()
    Path("log/events").write_text("somebody's")
    outcome = run(learn_classifier, f"{TINY} --epochs 2 --snapshot s.h5 --log_dir log")
    assert outcome.status == 2 and "--log_dir log: already contains files" in outcome.err


def test_the_weights_of_fewer_epochs_are_another_result(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = "--snapshot s.h5 --weight_dump w.h5 --history h.csv"
    succeed(learn_classifier, f"{TINY} --epochs 1 {options}")
    outcome = run(learn_classifier, f"{TINY} --epochs 2 {options}")
    assert outcome.status == 2 and "--weight_dump w.h5: exists already" in outcome.err
    succeed(learn_classifier, f"{TINY} --epochs 2 {options} --overwrite")


def test_a_resumed_run_keeps_earlier_log_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("log").mkdir()
    Path("log/notes.txt").write_text("mine")
    succeed(learn_classifier, f"{TINY} --epochs 1 --log_dir log --overwrite")
    assert Path("log/notes.txt").read_text() == "mine" and len(os.listdir("log")) > 2
