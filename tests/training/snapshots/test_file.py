"""Snapshot files: contents, restoring, and files that do not fit."""

import math

import h5py
import keras
import numpy as np
import pytest

from storage.seals import seal
from tests.training.snapshots.tiny_model import compiled
from training.optimizer import build_optimizer
from training.snapshots.file import (
    LAST_LAYERS,
    RunState,
    read_snapshot,
    read_state,
    restore,
    save_snapshot,
)
from utils import UserError


@pytest.mark.parametrize(
    ("state", "progress"),
    [
        (RunState(2, {}), "epoch 2"),
        (RunState(2, {}, step=3), "epoch 2, step 3"),
        (RunState(0, {}, step=3), "epoch 0, step 3"),
        (RunState(1, {}, step=3, phase=LAST_LAYERS), "epoch 1, step 3 of the last layers"),
        (RunState(0, {}), "the start of epoch 1"),
        (RunState(5, {}, began=5), "the start of epoch 6"),
    ],
)
def test_a_state_describes_the_progress(state, progress):
    assert state.progress == progress


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


def test_metrics_are_restored_exactly(tmp_path):
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


def test_unmeasured_values_differ_from_nan(tmp_path):
    records = [
        {"epoch": 1, "loss": 2.5},
        {"epoch": 2, "loss": 2.0, "val_loss": math.nan},
        {"epoch": 3, "loss": 1.5},
    ]
    save_snapshot(tmp_path / "s.h5", compiled(), RunState(3, {}, records))
    found = read_state(tmp_path / "s.h5").records
    assert [list(record) for record in found] == [list(record) for record in records]
    assert math.isnan(found[1]["val_loss"])


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


def test_weights_of_another_network_give_a_one_line_error(tmp_path):
    path = tmp_path / "s.weights.h5"
    save_snapshot(path, compiled(), RunState(1, {}))
    numbers = keras.Input((3,))
    other = keras.Model(numbers, keras.layers.Dense(2, name="dense")(numbers))
    other.compile(optimizer=build_optimizer(0.1), loss="mse")
    other.optimizer.build(other.trainable_variables)
    with pytest.raises(UserError, match="does not fit this network") as caught:
        restore(path, other)
    assert "\n" not in str(caught.value)


def test_settings_missing_from_older_snapshots_are_unknown(tmp_path):
    save_snapshot(tmp_path / "s.h5", compiled(), RunState(1, {"seed": "0"}))
    with pytest.raises(UserError, match="with seed '0' instead of '1', momentum unknown instead"):
        read_snapshot(tmp_path / "s.h5", {"seed": "1", "momentum": "of gradients"})


def test_other_word_vectors_are_reported_without_their_hash(tmp_path):
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


def test_a_state_that_declares_far_too_much_is_refused(tmp_path):
    """A crafted file needs no bytes for it."""
    path = tmp_path / "s.h5"
    save_snapshot(path, compiled(), RunState(1, {}))
    with h5py.File(path, "a") as file:
        del file["run_state"]
        file.create_dataset("run_state", (), "S2147483647")
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
