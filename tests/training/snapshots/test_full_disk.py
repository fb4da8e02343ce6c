"""Disks that fill up, and permissions that are lost, while a network trains."""

import os
import shutil
import subprocess

import keras
import numpy as np
import pytest
import sklearn.datasets

import learn_classifier
from evaluation.feature_dumps import Features, write_features
from models.files.saved import save_model, save_weights
from tests.commands.running import TINY, run, same_arrays, succeed
from tests.permissions import folder_for_all, ordinary_user
from training.callbacks.epoch_log import EpochReporter
from training.callbacks.tensorboard import Logs
from training.snapshots.file import read_state
from utils import UserError


@pytest.fixture
def small_disk(tmp_path):
    """A file system of half a megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    try:
        mounted = not subprocess.run(mount, capture_output=True).returncode
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("file systems cannot be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def after_epoch(patch, wanted: int, do) -> None:
    """Call a function when an epoch has ended, before anything of it is written."""
    whole = EpochReporter.on_epoch_end

    def epoch_end(self, epoch, logs=None):
        if epoch == wanted:
            do()
        whole(self, epoch, logs)

    patch.setattr(EpochReporter, "on_epoch_end", epoch_end)


def fill(folder) -> None:
    with open(folder / "full", "wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass


def outputs(folder) -> str:
    names = {"snapshot": "s.h5", "weight_dump": "w.h5", "model_dump": "m.keras"}
    names |= {"history": "h.csv", "log_dir": "log"}
    return " ".join(f"--{option} {folder / name}" for option, name in names.items())


def test_a_disk_that_fills_up_keeps_the_snapshot_and_ends_in_an_error(
    tmp_path, small_disk, monkeypatch
):
    command = f"{TINY} --epochs 3"
    succeed(learn_classifier, f"{command} --weight_dump {tmp_path / 'whole.h5'}")
    with monkeypatch.context() as patch:
        after_epoch(patch, 1, lambda: fill(small_disk))
        outcome = run(learn_classifier, f"{command} {outputs(small_disk)}")
    assert outcome.status == 1 and "Traceback" not in outcome.err
    assert "Epoch 3/3" in outcome.out and "Final evaluation" in outcome.out
    assert f"cannot write {small_disk / 's.h5'}" in outcome.err
    assert "; training goes on" in outcome.err
    assert read_state(small_disk / "s.h5").epoch == 1
    assert not (small_disk / "w.h5").exists() and not (small_disk / "m.keras").exists()
    assert not [name for name in os.listdir(small_disk) if name.startswith(".")]
    (small_disk / "full").unlink()
    succeed(learn_classifier, f"{command} {outputs(small_disk)}")
    assert same_arrays(small_disk / "w.h5", tmp_path / "whole.h5")


def test_a_log_ends_where_the_disk_is_full(small_disk):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    log = Logs(small_disk / "log")
    log.set_model(model)
    log.on_train_begin()
    fill(small_disk)
    for epoch in range(100):
        log.on_epoch_end(epoch, {"loss": 0.5, "val_loss": 0.25})
    log.on_train_end()
    assert str(log.error).startswith(f"cannot write {small_disk / 'log'}: ")
    assert "No space left on device" in str(log.error)


@pytest.mark.parametrize("suffix", [".h5", ".weights.h5"])
def test_a_network_too_large_for_the_disk_leaves_room_for_smaller_files(small_disk, suffix):
    tensor = keras.Input((400,))
    model = keras.Model(tensor, keras.layers.Dense(400)(tensor))
    save = save_weights if suffix == ".weights.h5" else save_model
    with pytest.raises(UserError, match="No space left") as kept:
        save(model, small_disk / f"m{suffix}")
    assert kept.value.__cause__  # and with it what HDF5 has open
    assert shutil.disk_usage(small_disk).free > 2**18
    write_features(
        small_disk / "f.npz", Features(np.ones((9, 2)), np.arange(9), tuple("abcdefghi"))
    )
    assert os.listdir(small_disk) == ["f.npz"]


def test_a_disk_that_is_full_from_the_start_ends_the_run_at_once(small_disk):
    fill(small_disk)
    outcome = run(learn_classifier, f"{TINY} --epochs 3 --snapshot {small_disk / 's.h5'}")
    assert outcome.status != 0 and outcome.out == ""
    assert "No space left" in outcome.err.splitlines()[-1]


def test_permission_that_is_lost_while_it_trains(monkeypatch):
    # Read before: the folder of the libraries may be closed to others.
    digits = sklearn.datasets.load_digits()
    monkeypatch.setattr(sklearn.datasets, "load_digits", lambda: digits)
    with folder_for_all() as parent, ordinary_user():
        folder = parent / "own"
        folder.mkdir()
        after_epoch(monkeypatch, 1, lambda: folder.chmod(0o555))
        options = f"--snapshot {folder / 's.h5'} --weight_dump {folder / 'w.h5'}"
        outcome = run(learn_classifier, f"{TINY} --epochs 3 {options}")
        folder.chmod(0o755)
        assert outcome.status == 1 and "Epoch 3/3" in outcome.out
        assert "Permission denied" in outcome.err.splitlines()[-1]
        assert read_state(folder / "s.h5").epoch == 1 and not (folder / "w.h5").exists()
