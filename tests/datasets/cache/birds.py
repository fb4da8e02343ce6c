"""Tiny CUB data sets, their batches, and the files that the cache has of them."""

import numpy as np

from datasets import get_dataset
from datasets.batches import Batches


def birds(root, **options):
    return get_dataset("CUB", root, **{"target_size": 32, "crop_size": 28, **options})


def epochs(dataset, count=2):
    """All batches of some epochs, for training and for testing."""
    preprocessing = dataset.preprocessing
    content = []
    for split, prepare in (
        (dataset.train, preprocessing.train),
        (dataset.test, preprocessing.test),
    ):
        batches = Batches(split, prepare, 5, seed=3, shuffle=True, workers=3)
        for epoch in range(count):
            batches.set_epoch(epoch)
            content += [batches[i][0] for i in range(len(batches))]
        batches.close()
    return content


def check_equal(first, second):
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


def files(folder):
    return sorted(folder.glob("[!.]*.images"))
