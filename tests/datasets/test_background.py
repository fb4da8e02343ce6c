"""Background images: selection, size, number per batch, order."""

from dataclasses import replace

import numpy as np
import pytest

from datasets import get_dataset
from datasets.background import BatchesWithBackground, open_background
from datasets.base import Split
from tests import fake_data
from utils import UsageError


def numbered(count, first=0):
    """Images of one pixel, whose value is their number."""
    images = np.arange(first, first + count, dtype=np.uint8).reshape(-1, 1, 1, 1)
    return Split.whole(images, np.arange(count) % 3, map(str, range(count)))


def noisy(image, rng):
    return image + rng.random(image.shape)


def batches(known=23, background=40, **options):
    options = {"seed": 3, "shuffle": True, "background": numbered(background, 100)} | options
    return BatchesWithBackground(numbered(known), noisy, 5, **options)


def epoch_of(each, epoch):
    each.set_epoch(epoch)
    return [each[i] for i in range(len(each))]


@pytest.mark.parametrize("background", [40, 9])
def test_every_batch_gets_as_many_background_images_of_the_class_minus_one(background):
    found = epoch_of(batches(background=background, repeats=2), 0)
    assert [len(images) for images, _ in found] == 2 * [10, 10, 10, 10, 6]
    drawn = []
    for images, labels in found:
        half = len(images) // 2
        assert labels.dtype == np.int32 and (labels[half:] == -1).all()
        values = np.floor(images).ravel()
        np.testing.assert_array_equal(labels[:half], values[:half] % 3)
        assert (values[:half] < 100).all() and (values[half:] >= 100).all()
        drawn += values[half:].tolist()
    # As equally often as possible.
    counts = np.unique(drawn, return_counts=True)[1]
    assert len(drawn) == 46 and counts.max() - counts.min() <= 1 and len(counts) == background


def test_order_and_augmentation_follow_from_seed_and_epoch():
    def same(one, other):
        return all(np.array_equal(a[0], b[0]) for a, b in zip(one, other, strict=True))

    first, second = epoch_of(batches(workers=3), 0), epoch_of(batches(workers=0), 0)
    assert same(first, second)
    assert not same(first, epoch_of(batches(), 1)) and not same(first, epoch_of(batches(seed=4), 0))
    resumed = batches()
    resumed.set_epoch(0, skip=2)
    assert same(first[2:], [resumed[i] for i in range(len(first) - 2)])
    labels = batches(num_outputs=2)[0][1]
    assert len(labels) == 2 and np.array_equal(*labels)


def test_known_images_are_those_without_background():
    with_background = epoch_of(batches(), 1)
    alone = super(BatchesWithBackground, both := batches())
    both.set_epoch(1)
    for index, (images, _) in enumerate(with_background):
        own, _ = alone._make(both._state[0], both._state[1], index)
        np.testing.assert_array_equal(images[: len(own)], own)


@pytest.fixture
def digits():
    return get_dataset("Digits-sub5")


def test_files_in_all_subfolders_get_the_size_and_channels_of_known_images(tmp_path, digits):
    paths = [fake_data.write_image(tmp_path / name) for name in ("a.png", "x/b.png", "x/y/c.jpg")]
    split = open_background(str(tmp_path), None, digits)
    assert list(split.names) == [path.relative_to(tmp_path).as_posix() for path in paths]
    assert [split[i].shape for i in range(3)] == 3 * [(8, 8, 1)]
    batch = split.batch(np.array([2, 0]))
    assert digits.train_transform.batch(batch, [np.random.default_rng(0)] * 2).shape == (2, 8, 8, 1)


def test_images_of_a_data_set(tmp_path):
    fake_data.write_cifar10(tmp_path / "10")
    fake_data.write_cifar100(tmp_path / "100")
    known = replace(get_dataset("CIFAR-10", tmp_path / "10"), class_names=tuple("abc"))
    split = open_background("CIFAR-100", tmp_path / "100", known)
    assert split.samples.shape[1:] == (32, 32, 3)
    birds = get_dataset("CUB", fake_data.write_cub(tmp_path / "birds"))
    assert open_background("CIFAR-100", tmp_path / "100", birds).samples.shape[1:] == (32, 32, 3)
    with pytest.raises(UsageError, match="have 1 channels, those of CIFAR-10 3"):
        open_background("Digits", None, known)


def test_classes_that_are_known_are_no_background(tmp_path, digits):
    fake_data.write_image(tmp_path / "seven/7/a.png")
    with pytest.raises(UsageError, match="shares 7 with the classes of Digits-sub5"):
        open_background(str(tmp_path), None, digits)
    open_background(str(tmp_path / "seven/7"), None, digits)
