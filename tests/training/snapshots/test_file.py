"""A run that was stopped and goes on ends exactly like one that was not."""

import csv
import json
import math
import tracemalloc
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

import learn_classifier
import learn_image_embeddings
from storage.seals import seal
from tests.commands.running import TINY, history, run, same_arrays, succeed
from training.callbacks.epoch_log import EpochReporter
from training.optimizer import build_optimizer
from training.snapshots import file as snapshot_file
from training.snapshots.callback import Snapshot
from training.snapshots.file import (
    LAST_LAYERS,
    RunState,
    read_snapshot,
    read_state,
    restore,
    save_snapshot,
)
from utils import UserError

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


@pytest.mark.parametrize(
    ("state", "progress"),
    [
        (RunState(2, {}), "epoch 2"),
        (RunState(2, {}, step=3), "epoch 2, step 3"),
        (RunState(0, {}, step=3), "epoch 0, step 3"),
        (RunState(1, {}, step=3, phase=LAST_LAYERS), "epoch 1, step 3 of the last layers"),
        (RunState(0, {}), "the training of the last layers"),
        (RunState(5, {}, began=5), "the training of the last layers"),
    ],
)
def test_a_state_tells_how_far_the_run_is(state, progress):
    assert state.progress == progress


def test_more_epochs_go_on_where_the_last_run_ended(tmp_path, monkeypatch, uninterrupted):
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
def test_the_same_command_goes_on_after_it_was_interrupted(
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


@pytest.mark.parametrize("name", ["s.h5", "s.snapshot", "s"])
def test_a_snapshot_may_have_any_name(tmp_path, name):
    path = tmp_path / name
    model = compiled()
    save_snapshot(path, model, RunState(1, {}))
    expected = model.get_weights()
    model.set_weights([weight + 1 for weight in expected])
    restore(path, model)
    for one, two in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(one, two)


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


def test_only_the_best_epoch_is_kept_if_that_is_wanted(tmp_path, monkeypatch):
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


def test_an_unknown_metric_is_told_with_those_there_are(tmp_path):
    outcome = run(
        learn_classifier,
        f"{TINY} --epochs 2 --snapshot_best val_prob_acc --snapshot",
        tmp_path / "s.weights.h5",
    )
    assert outcome.status == 2 and "Epoch" not in outcome.out
    last = outcome.err.splitlines()[-1]
    assert "--snapshot_best" in last and "val_prob_acc" in last and "val_acc" in last


def test_a_run_that_started_from_other_weights_goes_on_too(tmp_path, monkeypatch):
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


def compiled(learning_rate=0.1):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="dense")])
    model.compile(optimizer=build_optimizer(learning_rate), loss="mse")
    model.optimizer.build(model.trainable_variables)
    return model


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
def test_waiting_for_the_validation_loss_goes_on(tmp_path, stop):
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
def test_which_epochs_are_the_best_so_far(tmp_path, metric, values, kept):
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


def test_the_best_value_is_remembered_when_a_run_goes_on(tmp_path):
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


def test_metrics_come_back_as_they_were(tmp_path):
    records = [
        {"epoch": 1, "lr": 0.1, "loss": 2.302585, "val_acc": 0.1234567},
        {"epoch": 2, "lr": 1e-6, "loss": math.inf, "val_acc": 1.0},
    ]
    save_snapshot(tmp_path / "s.h5", compiled(), RunState(2, {}, records))
    found = read_state(tmp_path / "s.h5").records
    assert found == records and [list(r) for r in found] == [list(r) for r in records]
    assert all(type(record["epoch"]) is int for record in found)
    save_snapshot(tmp_path / "s.h5", compiled(), RunState(3, {}, [{"epoch": 1, "loss": math.nan}]))
    (record,) = read_state(tmp_path / "s.h5").records
    assert math.isnan(record["loss"])


def test_what_was_not_measured_is_not_a_number_that_is_none(tmp_path):
    records = [
        {"epoch": 1, "loss": 2.5},
        {"epoch": 2, "loss": 2.0, "val_loss": math.nan},
        {"epoch": 3, "loss": 1.5},
    ]
    save_snapshot(tmp_path / "s.h5", compiled(), RunState(3, {}, records))
    found = read_state(tmp_path / "s.h5").records
    assert [list(record) for record in found] == [list(record) for record in records]
    assert math.isnan(found[1]["val_loss"])


def test_epochs_that_are_not_evaluated_resume_like_others(tmp_path, monkeypatch):
    """With cycles of 2, 4 and 8 epochs, every third, the second and sixth, and the last."""
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


def test_writing_the_metrics_of_many_epochs_takes_little_memory(tmp_path):
    model = compiled()
    names = [f"figure {i}" for i in range(12)]

    def peak(epochs):
        records = [{"epoch": i, **dict.fromkeys(names, i / 7)} for i in range(epochs)]
        tracemalloc.start()
        save_snapshot(tmp_path / "s.h5", model, RunState(epochs, {}, records))
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    peak(1)
    # Thirteen numbers of eight bytes each.
    assert (peak(9000) - peak(1000)) / 8000 < 200


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


def test_momentum_and_step_count_are_restored(tmp_path):
    path = tmp_path / "s.weights.h5"
    model = compiled()
    images, targets = np.float32([[1, 2], [3, 4]]), np.float32([[1], [2]])
    model.fit(images, targets, epochs=3, verbose=0)
    save_snapshot(path, model, RunState(3, {}))
    other = compiled()
    restore(path, other)
    assert int(other.optimizer.iterations) == 3
    for one, two in zip(model.optimizer.variables, other.optimizer.variables, strict=True):
        np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (one, two)))
    assert any(np.any(keras.ops.convert_to_numpy(v)) for v in other.optimizer.momentums)


def test_weights_of_another_network_are_refused_in_one_line(tmp_path):
    path = tmp_path / "s.weights.h5"
    save_snapshot(path, compiled(), RunState(1, {}))
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="dense")])
    other.compile(optimizer=build_optimizer(0.1), loss="mse")
    other.optimizer.build(other.trainable_variables)
    with pytest.raises(UserError, match="does not fit this network") as caught:
        restore(path, other)
    assert "\n" not in str(caught.value)


def test_what_an_older_version_did_not_record_is_unknown(tmp_path):
    save_snapshot(tmp_path / "s.h5", compiled(), RunState(1, {"seed": "0"}))
    with pytest.raises(UserError, match="with seed '0' instead of '1', momentum unknown instead"):
        read_snapshot(tmp_path / "s.h5", {"seed": "1", "momentum": "of gradients"})


def test_other_word_vectors_are_told_without_their_hash(tmp_path):
    save_snapshot(tmp_path / "s.h5", compiled(), RunState(1, {"word vectors": "1 (af3d)"}))
    with pytest.raises(UserError, match="with other word vectors than those given") as caught:
        read_snapshot(tmp_path / "s.h5", {"word vectors": "1 (65ff)"})
    assert "65ff" not in str(caught.value)


def test_another_kind_of_optimizer_is_refused(tmp_path):
    """Keras itself would go on with an optimizer that has forgotten everything."""
    path = tmp_path / "s.weights.h5"
    model = compiled()
    model.fit(np.float32([[1, 2]]), np.float32([[1]]), verbose=0)
    save_snapshot(path, model, RunState(1, {}))
    other = compiled()
    scaled = keras.optimizers.LossScaleOptimizer(build_optimizer(0.1))
    other.compile(optimizer=scaled, loss="mse")
    scaled.build(other.trainable_variables)
    with pytest.raises(UserError, match="its optimizer differs from that of this run"):
        restore(path, other)


@pytest.mark.parametrize(("shape", "columns"), [((10**12, 0), []), ((1001, 1), ["epoch"])])
def test_tables_that_declare_far_too_much_are_refused(tmp_path, monkeypatch, shape, columns):
    """A crafted file needs no bytes for them."""
    monkeypatch.setattr(snapshot_file, "_MOST_NUMBERS", 1000)
    path = tmp_path / "s.h5"
    save_snapshot(path, compiled(), RunState(1, {}))
    with h5py.File(path, "a") as file:
        state = json.loads(file["run_state"][()]) | {"records": columns}
        for name in ("run_state", "run_records", "run_measured"):
            del file[name]
        file["run_state"] = np.bytes_(json.dumps(state))
        file.create_dataset("run_records", shape, np.float64)
        file.create_dataset("run_measured", shape, bool)
        seal(file)
    with pytest.raises(UserError, match=r"is damaged or from an earlier version; move it away"):
        read_state(path)


@pytest.mark.parametrize("value", [math.nan, -math.inf])
@pytest.mark.parametrize("part", ["run_optimizer", "layers", "running_metrics"])
def test_variables_that_are_no_finite_numbers_are_refused(tmp_path, value, part):
    path, model = tmp_path / "s.h5", compiled()
    save_snapshot(path, model, RunState(1, {}))
    with h5py.File(path, "a") as file:
        names = []
        file[part].visit(names.append)
        shapes = {n: getattr(file[part][n], "shape", None) for n in names}
        name = next((f"{part}/{n}" for n, shape in shapes.items() if shape == (2, 1)), f"{part}/0")
        file.pop(name, None)
        file[name] = np.full((2, 1), value)
        seal(file)
    weights = model.get_weights()
    with pytest.raises(UserError, match=f"{part} has values that are not finite numbers"):
        restore(path, model)
    for one, two in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(one, two)
