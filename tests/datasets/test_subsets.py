"""The rule of -subN, and lists that replace it."""

import zlib

import numpy as np
import pytest

from datasets import get_dataset
from tests.fake_data import write_cifar100, write_cub, write_folder, write_lines, write_nab
from utils import UserError, generator


@pytest.fixture(scope="module")
def cifar(tmp_path_factory):
    return write_cifar100(tmp_path_factory.mktemp("cifar"), classes=4, train=12)


def kept(dataset):
    """The training images, by name."""
    return list(dataset.train.names)


def test_the_rule_is_the_documented_one(cifar):
    full = get_dataset("CIFAR-100", cifar)
    expected = []
    for label in range(4):
        members = np.flatnonzero(full.train.labels == label)
        rng = generator("subset", 7, zlib.crc32(str(label).encode()))
        expected.extend(members[rng.permutation(12)[:3]])
    subset = get_dataset("CIFAR-100-sub3", cifar, subset_seed=7)
    assert kept(subset) == [str(i) for i in sorted(expected)]
    for i, name in enumerate(kept(subset)):
        np.testing.assert_array_equal(subset.train[i], full.train[int(name)])


def test_subsets_are_nested_and_repeatable_and_depend_on_the_seed(cifar):
    subsets = [set(kept(get_dataset(f"CIFAR-100-sub{n}", cifar))) for n in (1, 3, 5, 12)]
    assert [len(subset) for subset in subsets] == [4, 12, 20, 48]
    assert subsets[0] < subsets[1] < subsets[2] < subsets[3]
    assert set(kept(get_dataset("CIFAR-100-sub3", cifar))) == subsets[1]
    assert set(kept(get_dataset("CIFAR-100-sub3", cifar, subset_seed=1))) != subsets[1]


def test_a_class_does_not_depend_on_the_others(tmp_path):
    three = write_nab(tmp_path / "three", classes=3, train=6)
    lines = (three / "images.txt").read_text().splitlines()
    subset = get_dataset("NAB-sub2", three)
    alone = [line for line in lines if not line.split()[1].startswith("0302")]
    ids = {line.split()[0] for line in alone}
    for file in ("images", "image_class_labels", "train_test_split"):
        rows = (three / f"{file}.txt").read_text().splitlines()
        write_lines(three / f"{file}.txt", [row for row in rows if row.split()[0] in ids])
    fewer = get_dataset("NAB-sub2", three)
    assert fewer.num_classes == 2
    assert kept(fewer) == [name for name in kept(subset) if "/0302/" not in name]


@pytest.mark.parametrize(
    ("name", "repeats", "expected"),
    [("", None, 1), ("", 3, 3), ("-sub1", None, 12), ("-sub5", None, 2), ("-sub5", 4, 4)],
)
def test_an_epoch_passes_over_small_subsets_several_times(cifar, name, repeats, expected):
    dataset = get_dataset("CIFAR-100" + name, cifar, repeats=repeats)
    assert dataset.repeats == expected
    assert len(dataset.train) == 4 * int(name[4:] or 12)
    assert len(set(dataset.train.names)) == len(dataset.train)
    assert len(dataset.test) == 8


@pytest.mark.parametrize(("per_class", "repeats"), [(1, 30), (2, 15), (4, 7)])
def test_the_passes_over_cub_follow_from_the_size_of_its_classes(tmp_path, per_class, repeats):
    dataset = get_dataset(f"CUB-sub{per_class}", write_cub(tmp_path))
    assert dataset.repeats == repeats
    assert len(dataset.train) == 3 * per_class
    assert len(dataset.test) == 6


def test_small_classes_are_kept_whole_and_reported(tmp_path, caplog):
    dataset = get_dataset("CUB-sub50", write_cub(tmp_path))
    assert len(dataset.train) == 12
    assert dataset.repeats == 1
    assert "3 classes have fewer than 50" in caplog.text


def write_split(root, number, chosen):
    """List some ids, ``chosen(old flag, id)`` being their new flag or None to leave them out."""
    rows = [line.split() for line in (root / "train_test_split.txt").read_text().splitlines()]
    flags = {identifier: chosen(old, int(identifier)) for identifier, old in rows}
    lines = [f"{identifier} {flag}" for identifier, flag in flags.items() if flag is not None]
    write_lines(root / f"train_test_split_{number}.txt", lines)


def test_a_list_wins_over_the_rule(tmp_path):
    root = write_cub(tmp_path)
    write_split(
        root, 2, lambda old, i: 1 if old == "1" and i > 3 else 0 if i in (1, 2, 3) else None
    )
    dataset = get_dataset("CUB-sub2", root)
    official = get_dataset("CUB", root)
    first = [line.split()[1] for line in (root / "images.txt").read_text().splitlines()][:3]
    listed = {f"images/{path}" for path in first}
    assert set(kept(dataset)) == set(official.train.names) - listed
    assert set(dataset.test.names) == listed
    assert dataset.repeats == 15
    assert set(kept(get_dataset("CUB-sub3", root))) != set(kept(dataset))


def test_a_list_without_test_images_leaves_the_official_ones(tmp_path):
    root = write_cub(tmp_path)
    write_split(root, 2, lambda old, i: 1 if old == "1" else None)
    dataset = get_dataset("CUB-sub2", root)
    assert dataset.test.names == get_dataset("CUB", root).test.names
    write_split(root, 2, lambda old, i: 1)
    with pytest.raises(UserError, match=r"train_test_split_2\.txt lists test images for training"):
        get_dataset("CUB-sub2", root)


def test_the_passes_over_a_folder_subset(tmp_path):
    dataset = get_dataset("Folder-sub1", write_folder(tmp_path))
    assert dataset.repeats == 4
    assert len(dataset.train) == 3
