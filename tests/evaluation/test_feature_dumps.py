"""Feature dumps in both layouts, and invalid files."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from datasets import get_dataset
from evaluation.feature_dumps import (
    Features,
    of_test_split,
    read_features,
    write_features,
)
from utils import UserError

VECTORS = np.array([[1, 2.5], [0, -3], [7, 1e-3]], dtype=np.float32)
NAMES = ("a/1.jpg", "b/2 ü.jpg", "17")


@pytest.fixture(
    params=[np.array([3, 1, 3]), np.array(["owl", "ä wren", "owl"])], ids=["int", "str"]
)
def features(request):
    return Features(VECTORS, request.param, NAMES)


@pytest.mark.parametrize("suffix", [".npz", ".pickle"])
def test_dumps_are_read_again(tmp_path, features, suffix):
    path = tmp_path / f"dump{suffix}"
    write_features(path, features)
    again = read_features(path)
    assert again.vectors.dtype == np.float32
    np.testing.assert_array_equal(again.vectors, VECTORS)
    assert again.labels.tolist() == features.labels.tolist()
    assert again.names == NAMES


def test_the_layouts_are_the_documented_ones(tmp_path, features):
    write_features(tmp_path / "f.pickle", features)
    with open(tmp_path / "f.pickle", "rb") as file:
        content = pickle.load(file)  # noqa: S301 (written here)
    assert list(content) == ["feat", "labels", "names"]
    assert list(content["feat"]) == [0, 1, 2]
    assert np.stack(list(content["feat"].values())).tobytes() == VECTORS.tobytes()
    assert content["labels"] == features.labels.tolist()
    assert all(type(label) in (int, str) for label in content["labels"])
    assert content["names"] == list(NAMES)
    write_features(tmp_path / "f.npz", features)
    with np.load(tmp_path / "f.npz") as arrays:
        assert set(arrays.files) == {"features", "labels", "names"}
        assert arrays["labels"].tolist() == features.labels.tolist()


@pytest.mark.parametrize(
    ("feat", "names"),
    [
        (VECTORS.astype(float).tolist(), ("0", "1", "2")),
        (list(VECTORS), ("0", "1", "2")),
        ({2: VECTORS[2], 0: VECTORS[0], 1: VECTORS[1]}, ("0", "1", "2")),
    ],
)
def test_other_pickles_with_feat_are_read(tmp_path, feat, names):
    path = tmp_path / "f.pickle"
    path.write_bytes(pickle.dumps({"feat": feat, "labels": [1, 2, 2]}))
    found = read_features(path)
    np.testing.assert_array_equal(found.vectors, VECTORS)
    assert found.names == names
    assert found.labels.tolist() == [1, 2, 2]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 0, 2)])
@pytest.mark.parametrize(
    ("keys", "names"),
    [
        (NAMES, NAMES),
        ((5, 2, 9), ("5", "2", "9")),
        (("5", "2", "9"), (5, 2, 9)),
        ((0, 1, 2), NAMES),
        ((0, 1, 2), ("0", "1", "2")),
        ((np.int64(0), np.int64(1), np.int64(2)), None),
    ],
)
def test_the_order_of_a_dictionary_does_not_matter(tmp_path, keys, names, order):
    content = {"feat": {keys[i]: VECTORS[i] for i in order}, "labels": [1, 2, 3]}
    path = tmp_path / "f.pickle"
    path.write_bytes(pickle.dumps(content | ({"names": list(names)} if names else {})))
    found = read_features(path)
    np.testing.assert_array_equal(found.vectors, VECTORS)
    assert found.labels.tolist() == [1, 2, 3]
    assert found.names == tuple(map(str, names or range(3)))


@pytest.mark.parametrize(
    ("keys", "names", "message"),
    [
        ((5, 2, 9), None, "indices from 0 to 2"),
        ((1, 2, 3), NAMES, "indices from 0 to 2"),
        (NAMES, None, "names of the images"),
        (NAMES, ("a/1.jpg", "b/2 ü.jpg", "18"), "names of the images"),
        (NAMES, NAMES[:2], "names of the images"),
        ((0, 1, 2), ("2", "1", "0"), "both indices and names"),
        ((1, "1", 2), ("1", "1", "2"), "as number and as text"),
    ],
)
def test_a_dictionary_without_a_clear_order_is_refused(tmp_path, keys, names, message):
    content = {"feat": dict(zip(keys, VECTORS, strict=True)), "labels": [1, 2, 3]}
    path = tmp_path / "f.pickle"
    path.write_bytes(pickle.dumps(content | {"names": names and list(names)}))
    with pytest.raises(UserError, match=rf"f\.pickle: .*{message}"):
        read_features(path)


@pytest.mark.parametrize(
    "ids", [(2**70, *range(1, 10)), (2**63, -1, *range(2, 10))], ids=["object", "float"]
)
def test_class_ids_beyond_64_bits_become_text(tmp_path, ids):
    digits = get_dataset("Digits")
    object.__setattr__(digits, "labels", ids)
    dump = of_test_split(np.ones((len(digits.test), 2), np.float32), digits)
    write_features(tmp_path / "f.npz", dump)
    found = read_features(tmp_path / "f.npz").labels.tolist()
    assert found == [str(ids[label]) for label in digits.test.labels]


def test_files_that_cannot_be_opened_are_refused(tmp_path):
    loop = tmp_path / "loop.npz"
    loop.symlink_to(loop)
    for path in (loop, tmp_path / ("long" * 100)):
        with pytest.raises(UserError, match="no feature dump"):
            read_features(path)


class Evil:
    def __reduce__(self):
        return Path.touch, (Path("touched"),)


def broken(**changes):
    arrays = {"features": VECTORS, "labels": np.array([1, 2, 2]), "names": np.array(NAMES)}
    return {name: value for name, value in (arrays | changes).items() if value is not None}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (broken(features=None), "lacks features"),
        (broken(labels=None), "lacks labels: name the data set"),
        (broken(labels=np.array([1, 2])), "3 features, but labels of shape"),
        (broken(names=np.array(["x"])), "1 names"),
        (broken(labels=np.array([1.0, 2, 2])), "whole numbers or text"),
        (broken(features=VECTORS[0]), r"shape must be \(images, dimensions\)"),
        (broken(features=VECTORS[:0], labels=np.zeros(0, int), names=None), "shape"),
        (broken(features=np.array(["x", "y", "z"])), "cannot read the features"),
        (broken(features=VECTORS * [[1], [np.nan], [1]]), r"1 images .*b/2"),
        (broken(features=VECTORS * [[1], [np.nan], [np.inf]]), r"2 images .*b/2"),
        (broken(labels=np.array([{}, {}, {}], dtype=object)), "cannot be read as .npz"),
    ],
)
def test_invalid_dumps_are_refused(tmp_path, arrays, message):
    path = tmp_path / "f.npz"
    np.savez(path, **arrays)
    with pytest.raises(UserError, match=message) as caught:
        read_features(path)
    assert "f.npz" in str(caught.value)


@pytest.mark.parametrize(
    "content", [[VECTORS], {"labels": [1]}, {"feat": VECTORS}, {"feat": Evil()}]
)
def test_invalid_pickles_are_refused_and_run_nothing(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    Path("f.pickle").write_bytes(pickle.dumps(content))
    with pytest.raises(UserError, match=r"f\.pickle"):
        read_features("f.pickle")
    assert not Path("touched").exists()


def test_damaged_and_missing_files_are_refused(tmp_path, features):
    path = tmp_path / "f.npz"
    write_features(path, features)
    whole = path.read_bytes()
    for damaged in (whole[:-30], whole[:60] + b"xxxxxxxx" + whole[68:], b"PK", b"", b"text"):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"f\.npz"):
            read_features(path)
    for absent in (tmp_path / "absent.npz", tmp_path):
        with pytest.raises(UserError, match="no feature dump"):
            read_features(absent)
