"""Flipped bits are detected or change nothing."""

import h5py
import keras
import numpy as np
import pytest

from models.files.saved import load_weights, save_model, save_weights
from storage.hdf5 import open_hdf5
from storage.seals import SEAL, check_seal, seal
from tests.training.snapshots.tiny_model import compiled
from training.snapshots.file import RunState, read_metrics, read_state, restore, save_snapshot
from utils import UserError, generator

FLIPS = 60


def network():
    tensor = keras.Input((3,), name="image")
    hidden = keras.layers.BatchNormalization(name="norm")(keras.layers.Dense(4, name="a")(tensor))
    return keras.Model(tensor, keras.layers.Dense(2, name="b")(hidden))


def flipped(content: bytes, purpose: str):
    """The content with one bit flipped, at each of many places, in and beside the arrays."""
    rng = generator(f"flips in {purpose}")
    for place in sorted(rng.integers(0, len(content), FLIPS).tolist()):
        changed = bytearray(content)
        changed[place] ^= 1 << int(rng.integers(8))
        yield bytes(changed)


@pytest.mark.parametrize("name", ["w.h5", "m.h5", "m.keras"])
def test_weights_are_those_that_were_saved_or_refused(tmp_path, name):
    path, model = tmp_path / name, network()
    (save_weights if name == "w.h5" else save_model)(model, path)
    expected, refused = model.get_weights(), 0
    for content in flipped(path.read_bytes(), name):
        path.write_bytes(content)
        model.set_weights([np.zeros_like(weight) for weight in expected])
        try:
            load_weights(model, path)
        except UserError as error:
            refused += 1
            assert "\n" not in str(error)
            continue
        for found, weight in zip(model.get_weights(), expected, strict=True):
            np.testing.assert_array_equal(found, weight)
    assert refused


def test_every_array_of_a_snapshot_and_its_state_count(tmp_path):
    path, model = tmp_path / "s.h5", compiled()
    state = RunState(2, {"seed": "0"}, [{"epoch": 1, "loss": 0.5}], step=3)
    save_snapshot(path, model, state)
    assert read_state(path) == state
    expected = [*model.get_weights(), *map(np.asarray, model.optimizer.variables)]
    whole, refused = path.read_bytes(), 0
    places = [whole.index(weight.tobytes()) for weight in expected if weight.nbytes > 8]
    places += [whole.index(b'"epoch"') + 9, whole.index(b'"seed"') + 9]
    for place in places:
        changed = bytearray(whole)
        changed[place] ^= 1
        path.write_bytes(changed)
        with pytest.raises(UserError, match="is damaged"):
            read_state(path)
    for content in flipped(whole, "snapshot"):
        path.write_bytes(content)
        try:
            assert read_state(path) == state
            restore(path, model)
            read_metrics(path)
        except UserError:
            refused += 1
            continue
        found = [*model.get_weights(), *map(np.asarray, model.optimizer.variables)]
        for one, two in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, two)
    assert refused


def test_files_without_a_digest_are_read_unless_one_is_required(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = 1
    with open_hdf5(tmp_path / "a.h5") as file:
        check_seal(file)
        with pytest.raises(KeyError):
            check_seal(file, required=True)
    with h5py.File(tmp_path / "a.h5", "a") as file:
        seal(file)
    with open_hdf5(tmp_path / "a.h5") as file:
        assert len(file.attrs[SEAL]) == 64
        check_seal(file, required=True)
    for change in (
        lambda file: file.create_group("more"),
        lambda file: file["x"].attrs.create("name", "other"),
        lambda file: file.move("x", "y"),
    ):
        with h5py.File(tmp_path / "a.h5", "a") as file:
            change(file)
        with open_hdf5(tmp_path / "a.h5") as file, pytest.raises(ValueError, match="not what was"):
            check_seal(file)


@pytest.mark.parametrize("where", ["attribute", "array"])
def test_every_text_of_a_long_list_counts(tmp_path, where):
    texts = [f"layer {i}" for i in range(2000)]

    def write(file, texts):
        target = file.attrs if where == "attribute" else file
        if "texts" in target:
            del target["texts"]
        target["texts"] = np.array(texts, object)

    with h5py.File(tmp_path / "a.h5", "w") as file:
        write(file, texts)
        seal(file)
    with open_hdf5(tmp_path / "a.h5") as file:
        check_seal(file, required=True)
    with h5py.File(tmp_path / "a.h5", "a") as file:
        write(file, [*texts[:1000], "layer x", *texts[1001:]])
    with open_hdf5(tmp_path / "a.h5") as file, pytest.raises(ValueError, match="not what was"):
        check_seal(file)
