"""Training images that are held out for validation."""

import hashlib

import numpy as np
import pytest

from datasets import get_dataset
from datasets.batches import Batches
from datasets.cache.choice import with_cache, with_normalization
from datasets.holdout import held_out_indices
from datasets.images.dataset import measured_normalization
from tests.fake_data import write_cifar100, write_cub, write_folder, write_lines
from utils import UsageError, UserError


@pytest.fixture(scope="module")
def cifar(tmp_path_factory):
    return write_cifar100(tmp_path_factory.mktemp("cifar"), classes=4, train=12)


def by_the_readme(full, fraction, seed):
    """Names of the held-out images by the rule as the README has it."""
    held_out = set()
    for position in range(full.num_classes):
        pairs = zip(full.train.names, full.train.labels, strict=True)
        names = [name for name, c in pairs if c == position]
        names.sort(key=lambda n: hashlib.sha256(f"validation {seed} {n}".encode()).digest())
        held_out |= {*names[: min(round(fraction * len(names)), len(names) - 1)]}
    return held_out


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5, 0.99])
def test_the_rule_is_the_documented_one(cifar, fraction):
    full = get_dataset("CIFAR-100", cifar)
    dataset = get_dataset("CIFAR-100", cifar, val_fraction=fraction, subset_seed=5)
    assert set(dataset.validation.names) == by_the_readme(full, fraction, 5)
    count = min(round(12 * fraction), 11)
    assert np.bincount(dataset.validation.labels).tolist() == [count] * 4
    assert np.bincount(dataset.train.labels).tolist() == [12 - count] * 4
    assert sorted([*dataset.train.names, *dataset.validation.names]) == sorted(full.train.names)
    assert dataset.test.names == full.test.names
    for split in (dataset.train, dataset.validation):
        for i, name in enumerate(split.names):
            original = full.train.names.index(name)
            assert split.labels[i] == full.train.labels[original]
            np.testing.assert_array_equal(split[i], full.train[original])


def test_nothing_is_held_out_unless_asked_for(cifar):
    assert get_dataset("CIFAR-100-sub5", cifar).validation is None


def test_a_part_of_the_subset_is_held_out_and_never_trained_on(cifar):
    whole = get_dataset("CIFAR-100-sub5", cifar)
    dataset = get_dataset("CIFAR-100-sub5", cifar, val_fraction=0.4)
    assert dataset.repeats == whole.repeats == 2
    assert len(dataset.train) == 4 * 3 and len(dataset.validation) == 4 * 2
    training, validation = set(dataset.train.names), set(dataset.validation.names)
    assert not training & validation
    assert training | validation == set(whole.train.names)


def test_the_seed_decides_and_a_larger_share_holds_out_the_same_and_more(cifar):
    def held_out(fraction, seed=0):
        dataset = get_dataset("CIFAR-100", cifar, val_fraction=fraction, subset_seed=seed)
        return set(dataset.validation.names)

    assert held_out(0.25) == held_out(0.25)
    assert held_out(0.25) != held_out(0.25, seed=1)
    assert held_out(0.1) < held_out(0.25) < held_out(0.7)


def test_neither_other_classes_nor_the_order_of_the_images_matter():
    labels = np.repeat(np.arange(3), 8)
    names = [f"{i:02d}" for i in range(24)]
    held_out = held_out_indices(labels, names, 0.4, 3)
    expected = {names[i] for i in held_out}
    order = np.random.default_rng(0).permutation(24)
    other = {"c": 0, "a": 1, "b": 2}
    relabeled = np.array([other["abc"[label]] for label in labels])[order]
    shuffled = [names[i] for i in order]
    again = held_out_indices(relabeled, shuffled, 0.4, 3)
    assert {shuffled[i] for i in again} == expected and len(expected) == 9
    alone = held_out_indices(np.zeros(8, int), names[8:16], 0.4, 3)
    assert {names[8 + i] for i in alone} == {n for n in expected if "08" <= n <= "15"}


@pytest.mark.parametrize("added", ["new", "0", "zzz", "5.5"])
def test_a_new_image_leaves_all_others_but_at_most_one_where_they_are(added):
    for count in range(2, 40):
        names = [f"{i}.jpg" for i in range(count)]
        before = held_out_indices(np.zeros(count, int), names, 0.3, 1)
        more = [*names[:1], added, *names[1:]]
        after = held_out_indices(np.zeros(count + 1, int), more, 0.3, 1)
        moved = {names[i] for i in before} ^ {more[i] for i in after}
        assert len(moved - {added}) <= 1


def test_an_image_that_is_listed_twice_is_on_one_side():
    names = [*"abcdefgh"] * 2
    held_out = held_out_indices(np.zeros(16, int), names, 0.5, 0)
    inside = {names[i] for i in held_out}
    assert len(inside) == 4 and len(held_out) == 8
    assert not inside & {name for i, name in enumerate(names) if i not in held_out}


def test_small_classes_keep_an_image_for_training(tmp_path, caplog):
    root = write_folder(tmp_path)
    files = sorted(path.relative_to(root).as_posix() for path in (root / "train").rglob("*.*"))
    classes = sorted({file.split("/")[1] for file in files})
    some = [file for file in files if f"/{classes[0]}/" not in file]
    single = next(file for file in files if f"/{classes[0]}/" in file)
    listed = [file.removeprefix("train/") for file in (single, *some)]
    for part in ("train", "test"):
        for path in sorted((root / part).iterdir()):
            (root / path.name).mkdir(exist_ok=True)
            for image in path.iterdir():
                image.rename(root / path.name / image.name)
    tests = [f"{name}/{p.name}" for name in classes for p in (root / name).iterdir()]
    write_lines(root / "train.txt", listed)
    write_lines(root / "test.txt", sorted(set(tests) - set(listed)))
    dataset = get_dataset("Folder", root, val_fraction=0.5)
    counts = np.bincount(dataset.train.labels)
    assert counts[0] == 1 and (counts >= 1).all()
    assert 0 not in dataset.validation.labels
    assert f"1 classes of Folder have no validation images: {classes[0]}" in caplog.text
    with pytest.raises(UserError, match="no validation images"):
        dataset.restrict(classes[:1])


def test_too_few_images_to_hold_out_any_are_refused(cifar):
    with pytest.raises(UsageError, match=r"--val_fraction 0\.3: no class .*the largest has 1"):
        get_dataset("CIFAR-100-sub1", cifar, val_fraction=0.3)


def test_classes_are_chosen_and_ordered_in_all_splits(cifar):
    dataset = get_dataset("CIFAR-100", cifar, val_fraction=0.25)
    restricted = dataset.restrict([3, 1])
    validation = dataset.validation.names, dataset.validation.labels
    kept = [n for n, c in zip(*validation, strict=True) if c in (1, 3)]
    assert list(restricted.validation.names) == kept
    labels = dict(zip(*validation, strict=True))
    for name, label in zip(kept, restricted.validation.labels, strict=True):
        assert restricted.labels[label] == labels[name]


def test_held_out_images_do_not_enter_the_normalization(cifar):
    dataset = get_dataset("CIFAR-100", cifar, val_fraction=0.5, repeats=2)
    pixels = np.stack([dataset.train[i] for i in range(len(dataset.train))])
    np.testing.assert_allclose(measured_normalization(dataset).mean, pixels.mean(axis=(0, 1, 2)))


def all_batches(dataset):
    """Training and validation as they are read, the latter prepared like test images."""
    prepare = dataset.preprocessing
    for split, transform in ((dataset.train, prepare.train), (dataset.validation, prepare.test)):
        batches = Batches(split, transform, 5, workers=0)
        yield from (batches[i][0] for i in range(len(batches)))


@pytest.mark.parametrize("where", ["ram", "folder"])
@pytest.mark.parametrize("size", [16, (14, 20)])
def test_kept_images_are_the_same(tmp_path, where, size):
    root = write_cub(tmp_path / "cub")
    dataset = get_dataset("CUB", root, target_size=size, crop_size=12, val_fraction=0.5)
    plain = list(all_batches(dataset))
    cached = with_cache(dataset, tmp_path / "cache" if where == "folder" else where)
    for _ in range(2):
        for kept, read in zip(all_batches(cached), plain, strict=True):
            np.testing.assert_array_equal(kept, read)
        for path in (root / "images").glob("*/*.jpg"):
            path.unlink(missing_ok=True)  # the second time nothing is read
        if where == "ram":
            break
    np.testing.assert_array_equal(cached.validation.labels, dataset.validation.labels)


def test_runs_share_the_files_of_kept_images_whatever_they_hold_out(tmp_path):
    root, folder = write_cub(tmp_path / "cub"), tmp_path / "cache"
    for fraction in (None, 0.5, 0.25):
        dataset = get_dataset("CUB", root, target_size=16, crop_size=12, val_fraction=fraction)
        with_cache(dataset, folder)
        assert len(list(folder.glob("[!.]*.images"))) == 2


def test_the_stored_normalization_is_that_of_the_images_trained_on(tmp_path):
    root, folder = write_folder(tmp_path / "data"), tmp_path / "cache"
    for fraction in (None, 0.5):
        dataset = get_dataset("Folder", root, target_size=16, val_fraction=fraction)
        means = [dataset.train[i].mean((0, 1)) for i in range(len(dataset.train))]
        mean = with_normalization(dataset, folder).normalization.mean
        np.testing.assert_allclose(mean, np.mean(means, axis=0), rtol=1e-12)
