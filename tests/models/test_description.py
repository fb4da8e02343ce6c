"""What a saved model says about itself survives the file, and bad files are refused."""

import zipfile

import h5py
import keras
import numpy as np
import pytest

from models.description import MEMBER, ModelDescription, Output, read_description
from models.saved import load_model, save_model
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
def test_it_comes_back_with_the_model(network, tmp_path, name, labels):
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


def test_outputs_that_the_model_lacks(tmp_path):
    image = keras.Input((None, None, 1), name="image")
    save_model(
        keras.Model(image, keras.layers.GlobalAveragePooling2D()(image)),
        tmp_path / "a.keras",
        description(),
    )

    with pytest.raises(UserError, match="describes 2 outputs but has 1"):
        load_model(tmp_path / "a.keras")
