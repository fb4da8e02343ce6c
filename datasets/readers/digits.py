"""The handwritten digits that come with scikit-learn: 1,797 images, without any download.

https://scikit-learn.org/stable/datasets/toy_dataset.html#digits-dataset
"""

import numpy as np

from datasets.base import DATASETS, RawSplit, ReaderArgs
from datasets.images.augmentation.preprocessing import Preprocessing
from datasets.images.dataset import RawImageDataset
from utils import generator

_SPLIT_SEED = 0  # independent of the user's seed
_BRIGHTEST = 16  # gray levels are 0 to 16


@DATASETS.register("Digits")
def read_digits(args: ReaderArgs) -> RawImageDataset:
    """Read the digits; a random half of each class is for testing.

    Training images are not flipped, since a flipped digit is another symbol.
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.round(digits.images * (255 / _BRIGHTEST)).astype(np.uint8)[..., np.newaxis]
    positions = np.arange(len(images))
    whole = RawSplit(images, digits.target.tolist(), list(map(str, positions)))
    test = _test_positions(digits.target)
    return RawImageDataset(
        whole.select(np.setdiff1d(positions, test)),
        whole.select(test),
        preprocessing=Preprocessing(flip=0, shift=0.15),
        channels=1,
    )


def _test_positions(labels: np.ndarray) -> np.ndarray:
    """Draw half the images of each class, rounded down."""
    halves = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        order = generator("digits", _SPLIT_SEED, int(label)).permutation(len(members))
        halves.append(members[order[: len(members) // 2]])
    return np.sort(np.concatenate(halves))
