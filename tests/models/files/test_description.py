"""Descriptions of saved models: saving, loading, and invalid files."""

import io
import json
import zipfile

import h5py
import keras
import numpy as np
import pytest

from models.files.description import (
    MEMBER,
    ModelDescription,
    Output,
    attach,
    read_description,
)
from models.files.saved import load_model, save_model
from utils import UserError

VECTORS = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)


def description(labels=(3, 1, 7)):
    return ModelDescription(
        "Folder-sub20",
        labels,
        ("Kohlmeise", "Star", "blue tit, old"),
        channels=1,
        target_size=512,
        crop_size=448,
        outputs=(Output("l2norm", "dot", VECTORS), Output("prob", "output")),
    )


@pytest.fixture
def network():
    image = keras.Input((None, None, 1), name="image")
    pooled = keras.layers.GlobalAveragePooling2D()(image)
    embedding = keras.layers.Dense(4, name="l2norm")(pooled)
    return keras.Model(image, [embedding, keras.layers.Dense(3, name="prob")(embedding)])


@pytest.mark.parametrize("name", ["a.keras", "a.h5"])
@pytest.mark.parametrize("labels", [(3, 1, 7), ("003", "b c", "ü")])
def test_the_description_is_loaded_with_the_model(network, tmp_path, name, labels):
    save_model(network, tmp_path / name, description(labels))

    model, found = load_model(tmp_path / name)
    for field in ("dataset", "class_names", "channels", "target_size", "crop_size"):
        assert getattr(found, field) == getattr(description(), field)
    assert found.labels == labels
    assert [(o.name, o.decision) for o in found.outputs] == [("l2norm", "dot"), ("prob", "output")]
    np.testing.assert_array_equal(found.outputs[0].class_vectors, VECTORS)
    assert found.classifying.class_vectors is None
    image = np.random.default_rng(1).uniform(0, 255, (2, 5, 5, 1))
    for ours, theirs in zip(network(image), model(image), strict=True):
        np.testing.assert_array_equal(
            keras.ops.convert_to_numpy(ours), keras.ops.convert_to_numpy(theirs)
        )


@pytest.mark.parametrize("name", ["a.keras", "a.h5"])
def test_numbers_of_numpy_are_labels_too(network, tmp_path, name):
    save_model(network, tmp_path / name, description(tuple(np.array([3, 1, 7]))))

    assert read_description(tmp_path / name).labels == (3, 1, 7)


@pytest.mark.parametrize("name", ["a.keras", "a.h5"])
def test_a_model_without_one_is_refused(network, tmp_path, name):
    save_model(network, tmp_path / name)

    with pytest.raises(UserError, match="does not say which classes it knows"):
        load_model(tmp_path / name)


def test_a_missing_file(tmp_path):
    for name in ("none.keras", "none.h5"):
        with pytest.raises(UserError, match="there is no model file"):
            load_model(tmp_path / name)


@pytest.mark.parametrize("name", ["a.keras", "a.h5"])
def test_files_that_are_no_models(tmp_path, name):
    for content in (b"", b"PK\3\4 and nothing more", b"\x89HDF\r\n\x1a\n" + b"\0" * 64):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match="not a model file or is damaged"):
            load_model(tmp_path / name)


@pytest.mark.parametrize("name", ["a.keras", "a.h5"])
def test_a_truncated_file(network, tmp_path, name):
    save_model(network, tmp_path / name, description())
    whole = (tmp_path / name).read_bytes()
    for share in (0.3, 0.9):
        (tmp_path / name).write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(UserError):
            load_model(tmp_path / name)


@pytest.mark.parametrize("content", [b"", b"PK", b"\0" * 100])
def test_a_damaged_description(network, tmp_path, content):
    save_model(network, tmp_path / "a.keras")
    with zipfile.ZipFile(tmp_path / "a.keras", "a") as archive:
        archive.writestr(MEMBER, content)
    save_model(network, tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file.create_dataset(MEMBER, data=np.frombuffer(content, np.uint8))

    for name in ("a.keras", "a.h5"):
        with pytest.raises(UserError, match=r"the description in .* is damaged"):
            load_model(tmp_path / name)


def empty_model(path):
    """A model file without a model, to which a description can be attached."""
    with zipfile.ZipFile(path, "w") if path.suffix == ".keras" else h5py.File(path, "w"):
        pass
    return path


PLAIN = {
    "dataset": "Digits",
    "labels": [3, 1, 7],
    "class_names": ["a", "b", "c"],
    "channels": 1,
    "target_size": 8,
    "crop_size": 8,
    "outputs": [["l2norm", "dot"], ["prob", "output"]],
}


def written(path, plain, **vectors):
    """A file with any description."""
    text = plain if isinstance(plain, str) else json.dumps(plain)
    buffer = io.BytesIO()
    np.savez(buffer, text=np.array(text), **vectors)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(MEMBER, buffer.getvalue())
    return path


def test_a_plain_description_is_read(tmp_path):
    found = read_description(written(tmp_path / "a.keras", PLAIN, class_vectors_0=VECTORS))
    assert found.labels == (3, 1, 7) and found.classifying.name == "prob"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": [3, 1]}, "2 labels for 3 class names"),
        ({"labels": [], "class_names": []}, "0 labels"),
        ({"labels": "abc"}, "labels is not a list"),
        ({"labels": [3, 1, 1.5]}, "all whole numbers or all text"),
        ({"labels": [3, 1, True]}, "all whole numbers or all text"),
        ({"labels": [3, 1, "7"]}, "all whole numbers or all text"),
        ({"labels": [3, 1, [7]]}, "all whole numbers or all text"),
        ({"class_names": ["a", "b", 3]}, "names must be text"),
        ({"dataset": None}, "names must be text"),
        ({"channels": 0}, "channels and sizes"),
        ({"channels": "1"}, "channels and sizes"),
        ({"crop_size": 0}, "channels and sizes"),
        ({"crop_size": 10**9}, "channels and sizes"),
        ({"target_size": None}, "channels and sizes"),
        ({"outputs": []}, "no outputs"),
        ({"outputs": {"prob": "output"}}, "outputs is not a list"),
        ({"outputs": ["prob"]}, "a name and a decision"),
        ({"outputs": [["prob", 1]]}, "a name and a decision"),
        ({"outputs": [["prob", "guess"]]}, "unknown decision 'guess'"),
        ({"outputs": [["a", "dot"], ["b", "distance"]]}, "'b' lacks class embeddings"),
    ],
)
def test_wrong_entries_are_reported(tmp_path, changes, message):
    written(tmp_path / "a.keras", PLAIN | changes, class_vectors_0=VECTORS)
    with pytest.raises(UserError, match=f"description in .*a.keras is damaged: .*{message}"):
        read_description(tmp_path / "a.keras")


@pytest.mark.parametrize(
    "vectors",
    [VECTORS[:2], VECTORS[0], VECTORS[:, :0], VECTORS * np.nan, VECTORS * 1j, VECTORS.astype(str)],
)
def test_unsuitable_class_embeddings_are_reported(tmp_path, vectors):
    written(tmp_path / "a.keras", PLAIN, class_vectors_0=vectors)
    with pytest.raises(UserError, match=r"description in .*a.keras is damaged"):
        read_description(tmp_path / "a.keras")


@pytest.mark.parametrize("text", ["", "[]", "{}", "{", "1", "[" * 100_000])
def test_text_that_is_no_description(tmp_path, text):
    written(tmp_path / "a.keras", text, class_vectors_0=VECTORS)
    with pytest.raises(UserError, match=r"description in .*a.keras is damaged"):
        read_description(tmp_path / "a.keras")


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_files_that_cannot_be_opened(tmp_path, suffix):
    loop, folder = tmp_path / f"loop{suffix}", tmp_path / f"folder{suffix}"
    loop.symlink_to(loop)
    folder.mkdir()
    for path in (loop, folder, tmp_path / f"{'long' * 100}{suffix}"):
        with pytest.raises(UserError, match="cannot read"):
            read_description(path)


def test_labels_beyond_64_bits_are_restored(tmp_path):
    path = empty_model(tmp_path / "a.keras")
    attach(description((2**63, -1, 2**70)), path)
    assert read_description(path).labels == (2**63, -1, 2**70)


def test_outputs_that_the_model_lacks(tmp_path):
    image = keras.Input((None, None, 1), name="image")
    save_model(
        keras.Model(image, keras.layers.GlobalAveragePooling2D()(image)),
        tmp_path / "a.keras",
        description(),
    )

    with pytest.raises(UserError, match="describes 2 outputs but has 1"):
        load_model(tmp_path / "a.keras")
