"""--early_stopping: a run that ends early, and the same command again."""

import numpy as np

import learn_classifier
from tests.commands.running import TINY, arrays, history, record, succeed

# Nothing is learned, so that the first epoch is the best one.
COMMAND = (
    f"{TINY.replace('tiny', 'tiny-linear')} --folds 5 --fold 0 --early_stopping 2 --epochs 9 "
    "--sgdr_max_lr 0 --snapshot s.h5 --history h.csv --weight_dump w.h5"
)


def test_repeating_an_early_stopped_run_only_evaluates(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = succeed(learn_classifier, COMMAND)
    assert first.out.count("Epoch ") == 3 == len(history(tmp_path / "h.csv"))
    assert "No better epoch in 2 epochs" in first.err
    assert "Evaluating the weights of epoch 1" in first.err
    weights, found = arrays(tmp_path / "w.h5"), record(tmp_path / "w.h5")
    assert found["best_epoch"]["epoch"] == 1 and found["last_epoch"]["epoch"] == 3
    assert found["dataset"]["train_samples"] == 40 and found["dataset"]["validation_samples"] == 10
    again = succeed(learn_classifier, COMMAND)
    assert "Epoch " not in again.out
    assert again.out.splitlines() == first.out.splitlines()[3:]
    for name, value in arrays(tmp_path / "w.h5").items():
        np.testing.assert_array_equal(value, weights[name])
