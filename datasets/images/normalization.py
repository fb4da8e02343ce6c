"""Mean and standard deviation of the colour channels."""

import logging
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from PIL import Image

logger = logging.getLogger(__name__)

_CHUNK = 256  # images per task
_TELL_EVERY = 10  # seconds
_LEVELS = 256  # of a uint8 pixel


@dataclass(frozen=True)
class Normalization:
    """Pixels become (pixel - mean) / std per channel.

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


def measure(images: Sequence, channels: int, threads: int | None = None) -> Normalization:
    """Mean and standard deviation of all pixels, each pixel counting the same.

    The result is exact and does not depend on threads or on the order of the images, because
    pixels are counted by level before anything is summed. A constant channel gets the standard
    deviation 1.

    Args:
        images: ``images[i]`` is uint8 (height, width, channels); sizes may differ.
        channels: number of channels.
        threads: how many read images at a time; None: one per processor.
    """
    starts = range(0, len(images), _CHUNK)
    counts = np.zeros((channels, _LEVELS), np.int64)
    logger.info("Measuring mean and standard deviation of %d training images", len(images))
    told = time.monotonic()
    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        chunks = pool.map(lambda start: _count(images, start, channels), starts)
        for start, chunk in zip(starts, chunks, strict=True):
            counts += chunk
            if time.monotonic() - told > _TELL_EVERY:
                told = time.monotonic()
                logger.info("Measured %d of %d", min(start + _CHUNK, len(images)), len(images))
    return _from_counts(counts)


def _count(images: Sequence, start: int, channels: int) -> np.ndarray:
    """How often each level occurs in a chunk of images, (channels, levels)."""
    chunk = slice(start, min(start + _CHUNK, len(images)))
    if isinstance(images, np.ndarray):  # one below the other they are one image
        return _histogram(images[chunk].reshape(-1, *images.shape[2:]))
    counts = np.zeros((channels, _LEVELS), np.int64)
    for i in range(chunk.start, chunk.stop):
        counts += _histogram(images[i])
    return counts


def _histogram(image: np.ndarray) -> np.ndarray:
    """Counted by Pillow, which lets other threads work meanwhile and is six times as fast."""
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
