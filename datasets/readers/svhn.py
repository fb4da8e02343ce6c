"""SVHN, cropped digits: http://ufldl.stanford.edu/housenumbers/"""

from pathlib import Path

import numpy as np

from datasets.base import DATASETS, RawSplit, ReaderArgs, require_root
from datasets.images.augmentation.preprocessing import Preprocessing
from datasets.images.dataset import RawImageDataset
from storage.matlab import load_mat, whole_numbers
from utils import UserError

_FILES = ("train_32x32.mat", "test_32x32.mat")
_SHAPE = (32, 32, 3)  # of each image
_CHUNK = 4096  # images that are rearranged at a time


@DATASETS.register("SVHN")
def read_svhn(args: ReaderArgs) -> RawImageDataset:
    """Read the cropped digits of SVHN without the extra ones; training images are not flipped.

    The files label the digit 0 as 10.
    """
    root = require_root(args, "SVHN", *_FILES)
    splits = [_read_split(root / file) for file in _FILES]
    return RawImageDataset(*splits, preprocessing=Preprocessing(flip=0, shift=0.15))


def _read_split(path: Path) -> RawSplit:
    pixels, labels = load_mat(path, "X", "y")
    if pixels.dtype != np.uint8 or pixels.shape[:3] != _SHAPE or pixels.ndim > 4:
        raise UserError(
            f"{path}: X must be images, uint8 of the shape (32, 32, 3, images), "
            f"it is {pixels.dtype} {pixels.shape}"
        )
    digits = [label % 10 for label in whole_numbers(path, "y", labels)]
    images = _images_first(pixels)
    if len(digits) != len(images):
        raise UserError(f"{path} has {len(images)} images, but {len(digits)} labels")
    return RawSplit(images, digits, list(map(str, range(len(images)))))


def _images_first(pixels: np.ndarray) -> np.ndarray:
    """Return (images, row, column, channel) in the memory of (row, column, channel, images).

    MATLAB stores arrays by columns, so each image is already contiguous. Its pixels are reordered
    in place, so that there is only one copy of the images in memory.
    """
    stored = np.asfortranarray(pixels).reshape(*_SHAPE, -1, order="F").T
    images = stored.reshape(-1, *_SHAPE)
    for start in range(0, len(images), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        images[chunk] = stored[chunk].transpose(0, 3, 2, 1).copy()
    return images
