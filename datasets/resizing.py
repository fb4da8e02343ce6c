"""Bilinear, anti-aliased resizing as Pillow's, of whole images or of just a part, bit by bit alike.

Images are arrays (height, width, channels) of uint8.
"""

import functools
import logging
import math
from types import ModuleType
from typing import NamedTuple

import numpy as np
from PIL import Image

logger = logging.getLogger(__name__)

_BILINEAR = Image.Resampling.BILINEAR


class Region(NamedTuple):
    """A rectangle of pixels."""

    top: int
    left: int
    rows: int
    columns: int


def resized_shape(height: int, width: int, size: int) -> tuple[int, int]:
    """Height and width when the shorter side is resized to ``size`` pixels.

    The longer side keeps the aspect ratio, rounded to whole pixels.
    """
    shorter = min(height, width)
    scale = size / shorter
    new_height, new_width = (
        size if side == shorter else max(size, round(side * scale)) for side in (height, width)
    )
    return new_height, new_width


def resize(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The whole image with another height and width; the image itself if it has them already."""
    return resize_region(image, shape, Region(0, 0, *shape))


def resize_region(
    image: np.ndarray,
    shape: tuple[int, int],
    region: Region,
    mirrored: bool = False,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """A region of the resized image: exactly ``resize(image, shape)[region]``, in less time.

    Args:
        image: uint8 (height, width, channels).
        shape: height and width of the whole resized image.
        region: the part of it that is wanted.
        mirrored: whether left and right of the result are exchanged.
        out: where the result is written, uint8 (region.rows, region.columns, channels), contiguous.

    Returns:
        ``out``; without it a new array or, if the image has this shape already, a view of it.
    """
    if image.shape[:2] == tuple(shape):
        pixels = _cut(image, region, mirrored)
        return pixels if out is None else _copy(out, pixels)
    loops = _compiled_loops()
    if loops is None or not loops.suits(image, shape):
        pixels = resize_region_by_pillow(image, shape, region, mirrored)
        return pixels if out is None else _copy(out, pixels)
    if out is None:
        out = np.empty((region.rows, region.columns, image.shape[2]), np.uint8)
    loops.resize_region(image, shape, region, mirrored, out)
    return out


@functools.cache
def _compiled_loops() -> ModuleType | None:
    """The module that resizes faster than Pillow does; None where it cannot be used.

    The first call may take seconds. Other threads that come here in the meantime wait, since
    Python imports a module only once.
    """
    try:
        from datasets import bilinear

        if _equals_pillow(bilinear):
            return bilinear
        reason = "it would change pixels"
    except Exception as error:  # Numba can fail in many ways, and Pillow does as well
        reason = " ".join(str(error).split()) or type(error).__name__
    logger.warning("Images are resized slowly, without Numba: %s", reason)
    return None


def _equals_pillow(loops: ModuleType) -> bool:
    """Whether the loops do here what they do elsewhere, on an image enlarged and reduced."""
    image = np.random.default_rng(0).integers(0, 256, (53, 67, 3), np.uint8)
    for shape in (71, 84), (24, 31):
        region = Region(1, 2, shape[0] - 3, shape[1] - 4)
        out = np.empty((region.rows, region.columns, 3), np.uint8)
        loops.resize_region(image, shape, region, True, out)
        if not np.array_equal(out, resize_region_by_pillow(image, shape, region, True)):
            return False
    return True


def resize_region_by_pillow(
    image: np.ndarray, shape: tuple[int, int], region: Region, mirrored: bool = False
) -> np.ndarray:
    """What ``resize_region`` returns, by Pillow alone.

    Pillow resizes horizontally, rounds to whole gray levels, then resizes vertically. Here, the
    first step leaves out the rows and the second the columns that the region does not need. These
    are two calls because from version 13 on, Pillow resizes some tall images vertically first,
    which changes a few gray levels by one.
    """
    top, left, rows, columns = region
    old_height, channels = image.shape[0], image.shape[2]
    first, last = _rows_needed(old_height, shape[0], top, rows)
    wide = _picture(image[first:last]).resize((shape[1], last - first), _BILINEAR)
    box = _exact_box(old_height, shape[0], top, rows, first)
    if box:
        strip = wide.crop((left, 0, left + columns, last - first))
        result = strip.resize((columns, rows), _BILINEAR, (0, box[0], columns, box[1]))
    else:
        # Black rows in place of those that are missing: they are resized, but do not show.
        strip = wide.crop((left, -first, left + columns, old_height - first))
        result = strip.resize((columns, shape[0]), _BILINEAR).crop((0, top, columns, top + rows))
    if mirrored:
        result = result.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return _array(result, channels)


def _cut(image: np.ndarray, region: Region, mirrored: bool) -> np.ndarray:
    top, left, rows, columns = region
    pixels = image[top : top + rows, left : left + columns]
    return pixels[:, ::-1] if mirrored else pixels


def _copy(out: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    if pixels.strides[1] >= 0:
        out[...] = pixels
        return out
    # Mirrored: NumPy copies three bytes at a time slowly, and one channel at a time quickly.
    for channel in range(out.shape[2]):
        out[:, :, channel] = pixels[:, :, channel]
    return out


def _rows_needed(old_height: int, height: int, top: int, rows: int) -> tuple[int, int]:
    """The first row that contributes, and the one after the last; rather one more than less."""
    scale = old_height / height
    support = max(1.0, scale)
    first = math.floor(top * scale - support) - 1
    last = math.ceil((top + rows) * scale + support) + 1
    return max(0, first), min(old_height, last)


def _exact_box(
    old_height: int, height: int, top: int, rows: int, first: int
) -> tuple[float, float] | None:
    """Upper and lower edge of the region in rows of the image, counted from row ``first``.

    None if Pillow, which takes edges in single precision, would not get them exactly and choose
    other weights. Sizes that are powers of two, like 256 and 512, are exact.
    """
    denominator = height // math.gcd(old_height, height)
    if denominator & (denominator - 1):
        return None
    edges = top * old_height / height - first, (top + rows) * old_height / height - first
    return edges if all(float(np.float32(edge)) == edge for edge in edges) else None


def _picture(image: np.ndarray) -> Image.Image:
    return Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)


def _array(picture: Image.Image, channels: int) -> np.ndarray:
    return np.asarray(picture).reshape(picture.height, picture.width, channels)
