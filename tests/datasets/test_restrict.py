"""Choosing and ordering classes."""

import numpy as np
import pytest
from PIL import Image

from datasets import get_dataset
from datasets.images.dataset import measured_normalization
from tests.fake_data import write_cifar100, write_cub, write_nab
from utils import UsageError

WRITERS = {"NAB": write_nab, "CIFAR-100": write_cifar100, "CUB": write_cub}


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    return {name: writer(folder / name) for name, writer in WRITERS.items()}


def test_restrict_keeps_and_orders_classes(roots):
    dataset = get_dataset("NAB", roots["NAB"])
    restricted = dataset.restrict(["892", 302])
    assert restricted.labels == (892, 302)
    assert restricted.class_names == (dataset.class_names[2], dataset.class_names[0])
    for split, full in ((restricted.train, dataset.train), (restricted.test, dataset.test)):
        kept = [n for n, label in zip(full.names, full.labels, strict=True) if label != 1]
        assert list(split.names) == kept
        for image, label, name in zip(split, split.labels, split.names, strict=True):
            assert f"/{restricted.labels[label]:04d}/" in name
            np.testing.assert_array_equal(image, np.asarray(Image.open(roots["NAB"] / name)))
        assert split.labels.dtype == np.int64


def test_restrict_works_on_subsets(roots):
    dataset = get_dataset("CIFAR-100-sub2", roots["CIFAR-100"])
    restricted = dataset.restrict([2, 0])
    assert np.bincount(restricted.train.labels).tolist() == [2, 2]
    pixels = np.stack([dataset.train[i] for i in np.flatnonzero(dataset.train.labels != 1)])
    np.testing.assert_allclose(measured_normalization(restricted).mean, pixels.mean(axis=(0, 1, 2)))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            ["7", 1, *range(100, 120)],
            r"21 of 22 class labels are not among those of CUB: 7, 100.*… *; .*1, 2",
        ),
        ([], "empty"),
        ([1, 2, "1"], "more than once: 1"),
    ],
)
def test_wrong_labels_are_usage_errors(labels, message, roots):
    with pytest.raises(UsageError, match=message):
        get_dataset("CUB", roots["CUB"]).restrict(labels)
