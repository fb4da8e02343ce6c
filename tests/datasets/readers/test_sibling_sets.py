"""Data sets of the sibling paper: halves of CIFAR-100, ILSVRC, iNaturalist."""

import json

import numpy as np
import pytest

from datasets import get_dataset
from tests.fake_data import write_ilsvrc, write_inat, write_inat2019, write_whole_cifar100
from utils import UsageError, UserError


@pytest.fixture(scope="module")
def cifar(tmp_path_factory):
    return write_whole_cifar100(tmp_path_factory.mktemp("cifar"))


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("CIFAR-100-a", range(50)),
        ("CIFAR-100-b", range(50, 100)),
        ("CIFAR-100-b-consec", range(50)),
    ],
)
def test_halves_of_cifar(name, labels, cifar):
    whole, half = get_dataset("CIFAR-100", cifar), get_dataset(name, cifar)
    assert half.labels == tuple(labels)
    first = 0 if name.endswith("-a") else 50
    assert half.class_names == whole.class_names[first : first + 50]
    for part in ("train", "test"):
        mine, all_of_them = getattr(half, part), getattr(whole, part)
        expected = [i for i, y in enumerate(all_of_them.labels) if first <= y < first + 50]
        assert mine.names == tuple(all_of_them.names[i] for i in expected)
        np.testing.assert_array_equal(mine.labels, all_of_them.labels[expected] - first)
        np.testing.assert_array_equal(mine[3], all_of_them[expected[3]])


def test_ilsvrc_takes_its_classes_from_the_folders(tmp_path):
    dataset = get_dataset("ILSVRC", write_ilsvrc(tmp_path))
    assert dataset.labels == ("n01440001", "n01440002", "n01440003")
    assert (len(dataset.train), len(dataset.test)) == (12, 6)
    assert all(name.startswith("ILSVRC2012_img_train/n0144") for name in dataset.train.names)


def test_ilsvrc_without_its_folders_is_named(tmp_path):
    with pytest.raises(UserError, match="no folder ILSVRC2012_img_train"):
        get_dataset("ILSVRC", tmp_path)


def test_inat_numbers_its_categories_by_ascending_id(tmp_path):
    dataset = get_dataset("iNat", write_inat(tmp_path))
    assert dataset.labels == tuple(range(6))
    assert dataset.class_names == (
        *("Aves 1", "Plantae 1", "Aves 2", "Plantae 2", "Aves 3", "Plantae 3"),
    )
    for name, label in zip(dataset.train.names, dataset.train.labels, strict=True):
        kind, number = name.split("/")[1:3]
        assert dataset.class_names[label] == f"{kind} {number}"


@pytest.mark.parametrize("name", ["iNat_Aves", "inat_AVES", "iNat2018_aves-large"])
def test_supercategories_are_separate_data_sets(tmp_path, name):
    dataset = get_dataset(name, write_inat(tmp_path))
    assert dataset.class_names == ("Aves 1", "Aves 2", "Aves 3")
    assert len(dataset.train) == 12
    assert dataset.preprocessing.crop_size == (448 if "large" in name else 224)
    mean = (125.68554284, 131.58931007, 123.51576605)
    assert dataset.normalization.mean == mean


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("iNat_birds", "birds"),
        ("iNat2019_Aves", "iNat2019 has no supercategories"),
        ("CUB_Aves", "CUB_Aves"),
    ],
)
def test_other_supercategories_are_refused(tmp_path, name, message):
    write_inat2019(tmp_path)
    with pytest.raises(UsageError, match=message):
        get_dataset(name, write_inat(tmp_path))


@pytest.mark.parametrize("key", ["images", "annotations", "categories"])
@pytest.mark.parametrize("damage", [None, [], [3], [{"id": "x"}]])
def test_damaged_annotations_are_named(tmp_path, key, damage):
    write_inat2019(tmp_path)
    path = tmp_path / "train2019.json"
    content = json.loads(path.read_text()) | {key: damage}
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"train2019\.json|training images"):
        get_dataset("iNat2019", tmp_path)


@pytest.mark.parametrize("text", ["", "[", "[1, 2]", "[" * 100_000])
def test_annotations_that_are_no_json_are_named(tmp_path, text):
    write_inat2019(tmp_path)
    (tmp_path / "val2019.json").write_text(text)
    with pytest.raises(UserError, match=r"val2019\.json"):
        get_dataset("iNat2019", tmp_path)
