"""MNIST and Fashion-MNIST, in their idx files, optionally compressed by gzip.

http://yann.lecun.com/exdb/mnist/, https://github.com/zalandoresearch/fashion-mnist
"""

import gzip
import math
import os
import zlib
from pathlib import Path

import numpy as np

from datasets.base import DATASETS, RawSplit, ReaderArgs, require_root
from datasets.images.augmentation.preprocessing import Preprocessing
from datasets.images.dataset import RawImageDataset
from utils import UserError, open_regular

_PARTS = ("train", "t10k")
_UNSIGNED_BYTES = 8  # the format's code for this type
_LARGEST = 2**30  # bytes; the largest of such data sets, EMNIST, has 0.64 GB
_SHIFT = 0.15
_CLOTHES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


@DATASETS.register("MNIST")
def read_mnist(args: ReaderArgs) -> RawImageDataset:
    """Read MNIST; training images are not flipped, since a flipped digit is another symbol."""
    return _read(args, "MNIST", Preprocessing(flip=0, shift=_SHIFT))


@DATASETS.register("Fashion-MNIST")
def read_fashion_mnist(args: ReaderArgs) -> RawImageDataset:
    """Read Fashion-MNIST."""
    return _read(args, "Fashion-MNIST", Preprocessing(shift=_SHIFT), _CLOTHES)


def _read(
    args: ReaderArgs, name: str, preprocessing: Preprocessing, class_names: tuple[str, ...] = ()
) -> RawImageDataset:
    root = require_root(args, name)
    return RawImageDataset(
        *(_read_split(root, name, part) for part in _PARTS),
        preprocessing=preprocessing,
        channels=1,
        class_names=dict(enumerate(class_names)),
    )


def _read_split(root: Path, name: str, part: str) -> RawSplit:
    path = _find(root, name, f"{part}-images-idx3-ubyte")
    images = read_idx(path, dimensions=3)
    labels = read_idx(_find(root, name, f"{part}-labels-idx1-ubyte"), dimensions=1)
    if len(labels) != len(images):
        raise UserError(f"{path} has {len(images)} images, but there are {len(labels)} labels")
    return RawSplit(images[..., np.newaxis], labels.tolist(), list(map(str, range(len(images)))))


def _find(root: Path, name: str, file: str) -> Path:
    """Return the path of the file, or of its compressed version."""
    for path in (root / file, root / f"{file}.gz"):
        if os.path.isfile(path):
            return path
    raise UserError(f"{root} does not contain {name}: there is no {file}, nor {file}.gz")


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """Read an array of unsigned bytes from an idx file.

    Args:
        path: the file; compressed by gzip if its name ends in ``.gz``.
        dimensions: required number of dimensions.

    Raises:
        UserError: it cannot be read, is damaged, or contains another kind of array.
    """
    try:
        with open_regular(path) as file:
            stream = gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file
            begin = stream.read(4)
            if begin != bytes((0, 0, _UNSIGNED_BYTES, dimensions)):
                raise UserError(
                    f"{path} is not an idx file of bytes with {dimensions} dimensions: "
                    f"it begins with {begin.hex()}"
                )
            header = stream.read(4 * dimensions)
            if len(header) < 4 * dimensions:
                raise UserError(f"{path} ends within its header")
            shape = np.frombuffer(header, ">u4").tolist()
            size = math.prod(shape)
            if not 0 < size <= _LARGEST:
                raise UserError(f"{path} claims to have the shape {shape}")
            content = stream.read(size + 1)  # one more, to check that it ends there
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"cannot read {path}: {reason}") from error
    if len(content) != size:
        more = "more" if len(content) > size else f"{len(content):,}"
        raise UserError(f"{path} must have {size:,} bytes after its header, it has {more}")
    return np.frombuffer(content, np.uint8).reshape(shape)
