"""Mean and standard deviation of the color channels."""

import logging
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from PIL import Image

logger = logging.getLogger(__name__)

_CHUNK = 256  # images per task
_TELL_EVERY = 10  # seconds
_LEVELS = 256  # of a uint8 pixel


@dataclass(frozen=True)
class Normalization:
    """Mean and standard deviation per channel: pixels become (pixel - mean) / std.

    Attributes:
        mean: one value per channel, in units of 0 to 255, in RGB order.
        std: likewise.
        bgr: whether the network reverses the channels after this.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    bgr: bool = False


# Values of the published implementation, by the suffix that asks for them.
BY_SUFFIX = {
    "ilsvrcmean": Normalization(
        (122.65435242, 116.6545058, 103.99789959), (71.40583196, 69.56888997, 73.0440314)
    ),
    "caffe": Normalization((123.68, 116.779, 103.939), (1.0, 1.0, 1.0), bgr=True),
}


def measure(
    images: Sequence, positions: np.ndarray, channels: int, threads: int | None = None
) -> Normalization:
    """Return mean and standard deviation of all pixels, each pixel counting the same.

    The result is exact and does not depend on threads or on the order of the images, because
    pixels are counted by level before anything is summed. A constant channel gets the standard
    deviation 1.

    Args:
        images: ``images[i]`` is uint8 (height, width, channels); sizes may differ.
        positions: int (n,), which of them are measured.
        channels: number of channels.
        threads: how many read images at a time; None: one per processor.
    """
    chunks = [positions[i : i + _CHUNK] for i in range(0, len(positions), _CHUNK)]
    counts, measured = np.zeros((channels, _LEVELS), np.int64), 0
    logger.info("Measuring mean and standard deviation of %d training images", len(positions))
    told = time.monotonic()
    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        for chunk, found in zip(chunks, pool.map(partial(_count, images), chunks), strict=True):
            counts += found
            measured += len(chunk)
            if time.monotonic() - told > _TELL_EVERY:
                told = time.monotonic()
                logger.info("Measured %d of %d", measured, len(positions))
    return _from_counts(counts)


def _count(images: Sequence, positions: np.ndarray) -> np.ndarray:
    """Return how often each level occurs in these images, (channels, levels)."""
    if isinstance(images, np.ndarray):  # one below the other they are one image
        return _histogram(images[positions].reshape(-1, *images.shape[2:]))
    return sum(_histogram(images[i]) for i in positions.tolist())


def _histogram(image: np.ndarray) -> np.ndarray:
    """Count by Pillow, which releases the GIL and is six times as fast as NumPy."""
    gray = image.shape[-1] == 1
    counts = Image.fromarray(image[..., 0] if gray else image).histogram()
    return np.reshape(counts, (image.shape[-1], _LEVELS))


def _from_counts(counts: np.ndarray) -> Normalization:
    levels = np.arange(_LEVELS, dtype=np.float64)
    total = counts.sum(axis=1)
    mean = counts @ levels / total
    deviations = levels - mean[:, np.newaxis]
    std = np.sqrt((counts * deviations**2).sum(axis=1) / total)
    std[std == 0] = 1  # nothing to scale, and nothing may be divided by zero
    return Normalization(tuple(mean.tolist()), tuple(std.tolist()))
