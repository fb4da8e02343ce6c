"""Checks of a snapshot against the command that resumes from it."""

import shutil
from pathlib import Path

import pytest

import learn_classifier
from tests.commands.running import TINY, run, succeed


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A folder with the snapshot, the history and their records of a run of two epochs."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        succeed(learn_classifier, f"{TINY} --epochs 2 --snapshot s.h5 --history h.csv")
    return folder


@pytest.fixture
def folder(trained, tmp_path, monkeypatch) -> Path:
    """A copy of it, the folder of the process."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_initial_epoch_must_agree_with_the_snapshot(folder):
    outcome = run(learn_classifier, f"{TINY} --epochs 3 --initial_epoch 1 --snapshot s.h5")
    assert outcome.status == 2 and "after epoch 2" in outcome.err.splitlines()[-1]
    outcome = succeed(learn_classifier, f"{TINY} --epochs 3 --initial_epoch 2 --snapshot s.h5")
    assert outcome.out.count("Epoch ") == 1


def test_fewer_epochs_than_the_snapshot_has_are_refused(folder):
    content = (folder / "s.h5").read_bytes()
    outcome = run(learn_classifier, f"{TINY} --epochs 1 --snapshot s.h5 --weight_dump w.h5")
    assert outcome.status == 2
    assert "--epochs 1: the snapshot is of epoch 2; give at least --epochs 2" in outcome.err
    assert (folder / "s.h5").read_bytes() == content and not (folder / "w.h5").exists()


@pytest.mark.parametrize("decay", ["--max_decay 0.1", "--lr_schedule Cosine"])
def test_a_rate_that_decays_over_all_epochs_belongs_to_their_number(tmp_path, decay):
    path = tmp_path / "s.h5"
    succeed(learn_classifier, f"{TINY} --epochs 1 {decay} --snapshot {path}")
    outcome = run(learn_classifier, f"{TINY} --epochs 2 {decay} --snapshot {path}")
    assert outcome.status == 1 and "epochs '1' instead of '2'" in outcome.err.splitlines()[-1]


def test_the_history_of_another_run_is_not_written_over(folder):
    other = "epoch,lr,loss\n1,0.1,123.0\n"
    (folder / "h.csv").write_text(other)
    command = f"{TINY} --epochs 2 --snapshot s.h5 --history h.csv"
    outcome = run(learn_classifier, command)
    assert outcome.status == 2 and "h.csv" in outcome.err.splitlines()[-1]
    assert (folder / "h.csv").read_text() == other
    succeed(learn_classifier, f"{command} --overwrite")


@pytest.mark.parametrize("other", ["--sgdr_max_lr 0.5", "--nesterov", "--clipgrad 1"])
def test_a_snapshot_of_other_settings_is_refused(folder, other):
    outcome = run(learn_classifier, f"{TINY} --epochs 3 --snapshot s.h5 {other}")
    assert outcome.status == 1 and "belongs to another run" in outcome.err.splitlines()[-1]
