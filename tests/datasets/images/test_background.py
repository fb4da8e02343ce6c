"""Background images: which they are, and in which size."""

from dataclasses import replace

import numpy as np
import pytest

from datasets import get_dataset
from datasets.images.background import open_background
from tests import fake_data
from utils import UsageError


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
