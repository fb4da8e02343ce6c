"""The snapshot callback: best epochs, plateaus, files that cannot be written."""

import keras
import numpy as np
import pytest

from tests.training.snapshots.tiny_model import compiled
from training.callbacks.epoch_log import EpochReporter
from training.snapshots.callback import Snapshot
from training.snapshots.file import RunState, read_snapshot, restore
from utils import UserError


def rate_of(model):
    return float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))


def run_plateau(model, path, losses, first=0, resumed=None):
    """Epochs with these validation losses, as ``fit`` would call the callbacks."""
    plateau = keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.1, patience=3, min_lr=1e-5)
    reporter = EpochReporter(99, resumed.records if resumed else [])
    snapshot = Snapshot(path, resumed or RunState(0, {"seed": "0"}), reporter, plateau)
    callbacks = [plateau, reporter, snapshot]
    for callback in callbacks:
        callback.set_model(model)
    for callback in callbacks:
        callback.on_train_begin({})
    rates = []
    for epoch, loss in enumerate(losses, start=first):
        logs = {"loss": loss, "val_loss": loss}
        for callback in callbacks:
            callback.on_epoch_begin(epoch, {})
        rates.append(rate_of(model))
        for callback in callbacks:
            callback.on_epoch_end(epoch, logs)
    return rates


LOSSES = [3.0, 1.0, 2.0, 2.0, 2.0, 1.5, 0.5, 0.6, 0.6, 0.6, 0.6]


@pytest.mark.parametrize("stop", range(1, len(LOSSES)))
def test_patience_resumes(tmp_path, stop):
    expected = run_plateau(compiled(), tmp_path / "whole.h5", LOSSES)
    np.testing.assert_allclose(expected, [0.1] * 5 + [0.01] * 5 + [0.001], rtol=1e-5)
    path = tmp_path / "s.weights.h5"
    rates = run_plateau(compiled(), path, LOSSES[:stop])
    state = read_snapshot(path, {"seed": "0"})
    model = compiled()
    restore(path, model)
    rates += run_plateau(model, path, LOSSES[stop:], first=stop, resumed=state)
    assert rates == expected
    assert len(read_snapshot(path, {}).records) == len(LOSSES)


@pytest.mark.parametrize(
    ("metric", "values", "kept"),
    [
        ("val_loss", [3.0, 1.0, 2.0, 0.5], [1, 2, 4]),
        ("val_acc", [0.1, 0.3, 0.2, 0.3, 0.4], [1, 2, 5]),
        ("val_acc", [0.1, float("nan"), 0.2], [1, 3]),
        ("val_loss", [float("nan"), 2.0, 3.0], [2]),
        ("val_loss", [2.0, 2.0], [1]),
        ("val_acc", [None, 0.2, None, 0.3, 0.1], [2, 4]),
    ],
)
def test_epochs_that_are_the_best_so_far_are_kept(tmp_path, metric, values, kept):
    path = tmp_path / "s.weights.h5"
    snapshot = Snapshot(path, RunState(0, {}), EpochReporter(9), metric=metric)
    snapshot.set_model(compiled())
    written = []
    for epoch, value in enumerate(values):
        snapshot.on_epoch_end(epoch, {} if value is None else {metric: value})
        if path.exists():
            written.append(read_snapshot(path, {}).epoch)
            path.unlink()
    assert written == kept


def test_a_resumed_run_remembers_the_best_value(tmp_path):
    path = tmp_path / "s.weights.h5"
    resumed = RunState(3, {}, [], {}, metric="val_acc", best=0.5)
    snapshot = Snapshot(path, resumed, EpochReporter(9), metric="val_acc")
    snapshot.set_model(compiled())
    snapshot.on_epoch_end(3, {"val_acc": 0.4})
    assert not path.exists()
    snapshot.on_epoch_end(4, {"val_acc": 0.6})
    assert read_snapshot(path, {}).best == 0.6


def test_the_best_value_of_another_metric_does_not_count(tmp_path):
    path = tmp_path / "s.weights.h5"
    resumed = RunState(3, {}, [], {}, metric="val_loss", best=0.1)
    snapshot = Snapshot(path, resumed, EpochReporter(9), metric="val_acc")
    snapshot.set_model(compiled())
    snapshot.on_epoch_end(3, {"val_acc": 0.05})
    assert read_snapshot(path, {}).best == 0.05


def test_an_epoch_that_could_not_be_kept_is_not_the_best(tmp_path, monkeypatch):
    path = tmp_path / "s.weights.h5"
    snapshot = Snapshot(path, RunState(0, {}), EpochReporter(9), metric="val_acc")
    snapshot.set_model(compiled())
    snapshot.on_epoch_end(0, {"val_acc": 0.3})

    def full(*arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", full)
        snapshot.on_epoch_end(1, {"val_acc": 0.6})
    snapshot.on_epoch_end(2, {"val_acc": 0.2})
    assert read_snapshot(path, {}).epoch == 1
    snapshot.on_epoch_end(3, {"val_acc": 0.5})
    assert (read_snapshot(path, {}).epoch, read_snapshot(path, {}).best) == (4, 0.5)


def test_a_snapshot_that_cannot_be_written_does_not_stop_the_training(tmp_path, monkeypatch):
    path = tmp_path / "s.weights.h5"
    snapshot = Snapshot(path, RunState(0, {}), EpochReporter(9))
    snapshot.set_model(compiled())
    snapshot.on_epoch_end(0)
    content = path.read_bytes()

    def full(*arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", full)
        snapshot.on_epoch_end(1)
    assert isinstance(snapshot.error, UserError) and "No space left" in str(snapshot.error)
    assert path.read_bytes() == content
    assert [p.name for p in tmp_path.iterdir()] == ["s.weights.h5"]
    snapshot.on_epoch_end(2)
    assert snapshot.error is None and read_snapshot(path, {}).epoch == 3
