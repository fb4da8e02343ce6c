"""Whether a snapshot fits the command that is to go on from it."""

import pytest

import learn_classifier
from tests.commands.running import TINY, run, succeed


def test_an_epoch_given_beside_a_snapshot_has_to_agree(tmp_path):
    path = tmp_path / "s.h5"
    succeed(learn_classifier, f"{TINY} --epochs 2 --snapshot {path}")
    outcome = run(learn_classifier, f"{TINY} --epochs 3 --initial_epoch 1 --snapshot {path}")
    assert outcome.status == 2 and "after epoch 2" in outcome.err.splitlines()[-1]
    outcome = succeed(learn_classifier, f"{TINY} --epochs 3 --initial_epoch 2 --snapshot {path}")
    assert outcome.out.count("Epoch ") == 1


def test_fewer_epochs_than_the_snapshot_has_are_refused(tmp_path):
    path, dump = tmp_path / "s.h5", tmp_path / "w.h5"
    succeed(learn_classifier, f"{TINY} --epochs 2 --snapshot {path}")
    content = path.read_bytes()
    outcome = run(learn_classifier, f"{TINY} --epochs 1 --snapshot {path} --weight_dump {dump}")
    assert outcome.status == 2
    assert "--epochs 1: the snapshot is of epoch 2; give at least --epochs 2" in outcome.err
    assert path.read_bytes() == content and not dump.exists()


def test_a_rate_that_decays_over_all_epochs_belongs_to_their_number(tmp_path):
    path = tmp_path / "s.h5"
    succeed(learn_classifier, f"{TINY} --epochs 1 --max_decay 0.1 --snapshot {path}")
    outcome = run(learn_classifier, f"{TINY} --epochs 2 --max_decay 0.1 --snapshot {path}")
    assert outcome.status == 1 and "epochs '1' instead of '2'" in outcome.err.splitlines()[-1]


def test_the_history_of_another_run_is_not_written_over(tmp_path):
    path, history_file = tmp_path / "s.h5", tmp_path / "h.csv"
    succeed(learn_classifier, f"{TINY} --epochs 1 --snapshot {path} --history {history_file}")
    other = "epoch,lr,loss\n1,0.1,123.0\n"
    history_file.write_text(other)
    command = f"{TINY} --epochs 2 --snapshot {path} --history {history_file}"
    outcome = run(learn_classifier, command)
    assert outcome.status == 2 and str(history_file) in outcome.err.splitlines()[-1]
    assert history_file.read_text() == other
    succeed(learn_classifier, f"{command} --overwrite")


@pytest.mark.parametrize("other", ["--sgdr_max_lr 0.5", "--nesterov", "--clipgrad 1"])
def test_a_snapshot_of_other_settings_is_refused(tmp_path, other):
    path = tmp_path / "s.h5"
    succeed(learn_classifier, f"{TINY} --epochs 1 --snapshot {path}")
    outcome = run(learn_classifier, f"{TINY} --epochs 2 --snapshot {path} {other}")
    assert outcome.status == 1 and "belongs to another run" in outcome.err.splitlines()[-1]
