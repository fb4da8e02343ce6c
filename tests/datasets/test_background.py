"""Batches with background images: how many, and in which order."""

import numpy as np
import pytest

from datasets.background import BatchesWithBackground
from datasets.base import Split


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
