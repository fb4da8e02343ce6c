"""SVHN: pixels in the order of MATLAB, zeros called ten, images in memory once."""

import tracemalloc

import numpy as np
import pytest
from scipy.io import savemat

from datasets import get_dataset
from tests.fake_data import write_svhn
from utils import UserError


def write(path, pixels, labels):
    savemat(path, {"X": pixels, "y": np.uint8(labels)[:, np.newaxis]})


@pytest.mark.parametrize("count", [1, 5000])
def test_images_and_labels(tmp_path, count):
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3, count), np.uint8)
    labels = [10, 1, 9][:count] + [1] * (count - 3)
    for file in ("train_32x32.mat", "test_32x32.mat"):
        write(tmp_path / file, pixels, labels)
    dataset = get_dataset("SVHN", tmp_path)
    assert dataset.labels == (0, 1, 9)[: len(set(labels))]
    assert dataset.train.labels[:3].tolist() == [0, 1, 2][:count]
    for i in {0, count // 2, count - 1}:
        np.testing.assert_array_equal(dataset.train[i], pixels[:, :, :, i])
    assert dataset.train.samples.flags.c_contiguous


def test_images_are_in_memory_once(tmp_path):
    count = 6000
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3, count), np.uint8)
    write(tmp_path / "train_32x32.mat", pixels, np.arange(count) % 10 + 1)
    write(tmp_path / "test_32x32.mat", pixels[..., :10], np.arange(10) + 1)
    get_dataset("SVHN", tmp_path)  # imports and rehearses
    tracemalloc.start()
    try:
        dataset = get_dataset("SVHN", tmp_path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert dataset.train.samples.nbytes == pixels.nbytes
    # Lists of names and labels, and the few images that are rearranged at a time.
    assert peak < pixels.nbytes + 4096 * 32 * 32 * 3 + 500 * count


@pytest.mark.parametrize(
    ("pixels", "labels", "message"),
    [
        (np.zeros((32, 32, 3, 4)), [1, 2, 3, 4], r"X must be images, .*float64"),
        (np.zeros((3, 32, 32, 4), np.uint8), [1, 2, 3, 4], r"\(3, 32, 32, 4\)"),
        (np.zeros((32, 32, 3, 4), np.uint8), [1, 2, 3], "4 images, but 3 labels"),
    ],
)
def test_damaged(tmp_path, pixels, labels, message):
    write_svhn(tmp_path)
    write(tmp_path / "test_32x32.mat", pixels, labels)
    with pytest.raises(UserError, match=message):
        get_dataset("SVHN", tmp_path)
