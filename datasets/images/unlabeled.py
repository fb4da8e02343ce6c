"""Read unlabeled image files in batches, in advance."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets.images.augmentation.preprocessing import Preprocessing
from datasets.images.bands import has_bands, tiff_reader
from datasets.images.files import load_image
from utils import UserError


@dataclass(frozen=True)
class Batch:
    """Images that could be read, and errors of those that could not."""

    paths: list[Path]  # one for each image
    samples: np.ndarray  # uint8 or uint16 (images, crop_size, crop_size, channels)
    damaged: list[UserError]  # one error for each damaged file since the previous batch


def image_reader(target_size: int, crop_size: int, channels: int) -> Callable[[Path], np.ndarray]:
    """Return a function that reads and preprocesses a file like a test image in training.

    It returns uint8 (crop_size, crop_size, channels), uint16 if multispectral, and raises UserError
    for damaged files.
    """
    if has_bands(channels):
        tiff_reader()  # report once if it is missing, not for each file
    prepare = Preprocessing(test_size=target_size, crop_size=crop_size).test

    def read(path: Path) -> np.ndarray:
        return prepare(load_image(path, channels))

    return read


def image_batches(
    paths: Sequence[Path], read: Callable[[Path], np.ndarray], batch_size: int, workers: int = 8
) -> Iterator[Batch]:
    """Yield images in batches, in the given order; threads read ahead about two batches.

    All batches but the last have ``batch_size`` images even if files are damaged, because some
    backends compile the network again for each size.

    Args:
        paths: the files.
        read: returns an array, always of the same shape; raises UserError for damaged files.
        batch_size: images per batch.
        workers: number of threads.
    """
    names, images, damaged = [], [], []
    for path, reading in _read_ahead(paths, read, workers, ahead=2 * batch_size + workers):
        try:
            images.append(reading.result())
            names.append(path)
        except UserError as error:
            damaged.append(error)
        if len(images) == batch_size:
            yield Batch(names, np.stack(images), damaged)
            names, images, damaged = [], [], []
    if images or damaged:
        yield Batch(names, np.stack(images) if images else np.empty((0, 0, 0, 0)), damaged)


def _read_ahead(
    paths: Sequence[Path], read: Callable, workers: int, ahead: int
) -> Iterator[tuple[Path, Future]]:
    pool = ThreadPoolExecutor(workers, "images")
    waiting: deque[tuple[Path, Future]] = deque()
    try:
        for path in paths:
            waiting.append((path, pool.submit(read, path)))
            if len(waiting) > ahead:
                yield waiting.popleft()
        while waiting:
            yield waiting.popleft()
    finally:
        # A caller that stops early does not want to wait for the remaining files.
        pool.shutdown(wait=False, cancel_futures=True)
