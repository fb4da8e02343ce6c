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

from datasets.images.bands import has_bands

logger = logging.getLogger(__name__)

_CHUNK = 256  # images per task
_REPORT_EVERY = 10  # seconds
_LEVELS = 256  # values of uint8


@dataclass(frozen=True)
class Normalization:
    """Mean and standard deviation per channel: pixels become (pixel - mean) / std."""

    mean: tuple[float, ...]  # one value per channel, in units of the pixels, in RGB order
    std: tuple[float, ...]  # likewise
    bgr: bool = False  # whether the network reverses the channels after this


# Values of the published implementation, by the suffix that selects them.
BY_SUFFIX = {
    "ilsvrcmean": Normalization(
        (122.65435242, 116.6545058, 103.99789959), (71.40583196, 69.56888997, 73.0440314)
    ),
    "caffe": Normalization((123.68, 116.779, 103.939), (1.0, 1.0, 1.0), bgr=True),
}


def measure(images: Sequence, positions: np.ndarray, channels: int) -> Normalization:
    """Return mean and standard deviation of images, which have equal weight whatever their size.

    As in the published code, the mean is that of the images' means. The variance is the sum of the
    images' mean squared deviations from it, divided by the number of images or, for image files, by
    one less. Neither depends on threads. A constant channel gets the standard deviation 1.

    Args:
        images: ``images[i]`` is uint8 or uint16 (height, width, channels); sizes may differ.
        positions: int (n,), positions of the images to measure.
        channels: number of channels.
    """
    chunks = [positions[i : i + _CHUNK] for i in range(0, len(positions), _CHUNK)]
    moments = partial(_moments_of_bands if has_bands(channels) else _moments, images)
    logger.info("Measuring mean and standard deviation of %d training images", len(positions))
    found, reported = [], time.monotonic()
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for of_chunk in pool.map(moments, chunks):
            found.append(of_chunk)
            if time.monotonic() - reported > _REPORT_EVERY:
                reported = time.monotonic()
                measured = min(len(found) * _CHUNK, len(positions))
                logger.info("Measured %d of %d", measured, len(positions))
    means, variances = (np.concatenate(values) for values in zip(*found, strict=True))
    mean = means.mean(axis=0)
    squares = (variances + (means - mean) ** 2).sum(axis=0)
    in_memory = isinstance(images, np.ndarray)
    std = np.sqrt(squares / (len(means) if in_memory else max(1, len(means) - 1)))
    std[std == 0] = 1  # avoids a division by zero
    return Normalization(tuple(mean.tolist()), tuple(std.tolist()))


def _moments(images: Sequence, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and variance of each of these images, both (images, channels)."""
    if isinstance(images, np.ndarray):
        return _moments_of_numbers(images[positions])
    counts = np.stack([_histogram(images[i]) for i in positions.tolist()])
    levels, total = np.arange(_LEVELS, dtype=np.float64), counts.sum(axis=2)
    means = counts @ levels / total
    deviations = levels - means[..., np.newaxis]
    return means, (counts * deviations**2).sum(axis=2) / total


def _moments_of_bands(images: Sequence, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Do the same for 16-bit numbers, which have too many levels for a histogram."""
    each = [_moments_of_numbers(images[i][np.newaxis]) for i in positions.tolist()]
    means, variances = zip(*each, strict=True)
    return np.concatenate(means), np.concatenate(variances)


def _moments_of_numbers(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    pixels = images.reshape(len(images), -1, images.shape[-1])
    pixels = np.ascontiguousarray(pixels.swapaxes(1, 2)).astype(np.float64)
    return pixels.mean(axis=2), pixels.var(axis=2)


def _histogram(image: np.ndarray) -> np.ndarray:
    """Count levels, (channels, levels), with Pillow, which is fast and releases the GIL."""
    gray = image.shape[-1] == 1
    counts = Image.fromarray(image[..., 0] if gray else image).histogram()
    return np.reshape(counts, (image.shape[-1], _LEVELS))
