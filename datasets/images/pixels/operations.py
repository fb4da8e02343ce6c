"""Operations on the colors and the geometry of an image, with the same results as Pillow's.

Images are contiguous uint8 arrays (height, width, channels) with 1 or 3 channels, changed in place.
"""

import functools
import math
from collections.abc import Callable
from types import ModuleType

import numpy as np
from PIL import Image

from datasets.images.pixels import pillow_operations
from datasets.images.pixels.compiled_loops import compiled_or

_LEVELS = np.arange(256)

Fill = tuple[int, ...]
"""Color of uncovered pixels, one value per channel."""

Interpolation = Image.Resampling | None
"""Between pixels; None: the nearest pixel."""


@functools.cache
def pixel_loops() -> ModuleType:
    """Return ``numba_operations``, or ``pillow_operations`` if Numba does not work."""
    name = "datasets.images.pixels.numba_operations"
    return compiled_or(pillow_operations, name, _pixels, "Images are augmented")


def _pixels(loops: ModuleType) -> np.ndarray:
    """Return an image to which all loops have been applied."""
    image = np.random.default_rng(0).integers(0, 256, (23, 37, 3), np.uint8)
    changed = image.copy()
    loops.color(changed, 1.7)
    loops.sharpen(changed, 1.9)
    loops.affine(changed, _rotation(23, 37, 17), (128, 128, 128))
    loops.lookup(changed, loops.histogram(changed).astype(np.uint8))
    loops.blend(changed, int(loops.gray_mean(changed)), 0.7)
    loops.blend(changed, 0, 1.1)
    loops.raise_dark(changed, 30)
    loops.mix(changed, image, 77, changed)
    return changed


def autocontrast(image: np.ndarray) -> None:
    """Stretch the values of each channel to 0 … 255."""
    tables = np.tile(_LEVELS, (image.shape[2], 1))
    for table, low, high in zip(
        tables, _extreme(np.min, image), _extreme(np.max, image), strict=True
    ):
        if high > low:
            scale = 255.0 / (high - low)
            table[:] = (_LEVELS * scale + -low * scale).clip(0, 255)
    _lookup(image, tables)


def _extreme(function: Callable, image: np.ndarray) -> list[int]:
    """Return the minimum or maximum of each channel; first by rows of bytes, which is faster."""
    line = function(image.reshape(len(image), -1), axis=0)
    return function(line.reshape(-1, image.shape[2]), axis=0).tolist()


def equalize(image: np.ndarray) -> None:
    """Make the histogram of each channel as uniform as possible."""
    tables = np.tile(_LEVELS, (image.shape[2], 1))
    for table, counts in zip(tables, pixel_loops().histogram(image), strict=True):
        last = counts[np.flatnonzero(counts)[-1]]
        step = (counts.sum() - last) // 255
        if step:
            below = np.cumsum(counts) - counts
            table[:] = ((below + step // 2) // step).clip(max=255)
    _lookup(image, tables)


def invert(image: np.ndarray) -> None:
    """Replace each value v by 255 - v."""
    np.subtract(255, image, out=image)


def posterize(image: np.ndarray, bits: int) -> None:
    """Keep the highest ``bits`` bits of each value."""
    np.bitwise_and(image, 256 - (1 << (8 - bits)), out=image, casting="unsafe")


def solarize(image: np.ndarray, threshold: int) -> None:
    """Invert all values from the threshold on."""
    inverted = (image >= threshold).view(np.uint8)
    np.negative(inverted, out=inverted)  # 255: all bits
    image ^= inverted  # v xor 255 = 255 - v


def solarize_add(image: np.ndarray, amount: int) -> None:
    """Add ``amount`` to all values below 128, up to 255."""
    pixel_loops().raise_dark(image, amount)


def color(image: np.ndarray, factor: float) -> None:
    """Blend with the gray image: factor 0 is gray, 1 changes nothing, more intensifies colors."""
    if image.shape[2] == 3:
        pixel_loops().color(image, factor)


def contrast(image: np.ndarray, factor: float) -> None:
    """Blend with the mean gray level, rounded: factor 0 is gray, 1 changes nothing."""
    pixel_loops().blend(image, int(pixel_loops().gray_mean(image) + 0.5), factor)


def brightness(image: np.ndarray, factor: float) -> None:
    """Blend with black: factor 0 is black, 1 changes nothing."""
    pixel_loops().blend(image, 0, factor)


def sharpness(image: np.ndarray, factor: float) -> None:
    """Blend with the image smoothed by (1 1 1, 1 5 1, 1 1 1) / 13, except for its border.

    Factor 0 is smooth, 1 changes nothing, more sharpens edges.
    """
    pixel_loops().sharpen(image, factor)


def rotate(image: np.ndarray, degrees: float, fill: Fill, resampling: Interpolation = None) -> None:
    """Rotate about the center, counterclockwise."""
    _transform(image, _rotation(*image.shape[:2], degrees), fill, resampling)


def shear_x(image: np.ndarray, shear: float, fill: Fill, resampling: Interpolation = None) -> None:
    """Move each row to the left by ``shear`` times its index."""
    _transform(image, (1, shear, -shear / 2, 0, 1, 0), fill, resampling)


def shear_y(image: np.ndarray, shear: float, fill: Fill, resampling: Interpolation = None) -> None:
    """Move each column up by ``shear`` times its index."""
    _transform(image, (1, 0, 0, shear, 1, -shear / 2), fill, resampling)


def translate_x(
    image: np.ndarray, pixels: float, fill: Fill, resampling: Interpolation = None
) -> None:
    """Move the image to the left."""
    _transform(image, (1, 0, pixels, 0, 1, 0), fill, resampling)


def translate_y(
    image: np.ndarray, pixels: float, fill: Fill, resampling: Interpolation = None
) -> None:
    """Move the image up."""
    _transform(image, (1, 0, 0, 0, 1, pixels), fill, resampling)


def cutout(image: np.ndarray, half: int, row: int, column: int, fill: Fill) -> None:
    """Fill a square of 2 ``half`` pixels around (row, column), cut at the image's borders."""
    rows, columns = (slice(max(0, at - half), at + half) for at in (row, column))
    image[rows, columns] = fill


def _lookup(image: np.ndarray, tables: np.ndarray) -> None:
    """Replace values by a table, (256,), or by one for each channel."""
    tables = np.broadcast_to(tables, (image.shape[2], 256))
    pixel_loops().lookup(image, np.ascontiguousarray(tables, np.uint8))


def _rotation(height: int, width: int, degrees: float) -> tuple[float, ...]:
    """Return the matrix of a rotation about the center, see ``pillow_operations.transform``."""
    angle = math.radians(degrees)
    cosine, sine = math.cos(angle), math.sin(angle)
    x, y = width / 2, height / 2
    return cosine, -sine, x - cosine * x + sine * y, sine, cosine, y - sine * x - cosine * y


def _transform(
    image: np.ndarray, matrix: tuple[float, ...], fill: Fill, resampling: Interpolation
) -> None:
    """Resample, see ``pillow_operations.transform``."""
    if resampling is None:
        pixel_loops().affine(image, matrix, fill)
    else:
        pillow_operations.transform(image, matrix, fill, resampling)
