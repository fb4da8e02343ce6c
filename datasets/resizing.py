"""Bilinear, anti-aliased resizing by Pillow, of whole images or of just a part, bit by bit alike.

Images are arrays (height, width, channels) of uint8.
"""

import math
from typing import NamedTuple

import numpy as np
from PIL import Image

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
    image: np.ndarray, shape: tuple[int, int], region: Region, mirrored: bool = False
) -> np.ndarray:
    """A region of the resized image: exactly ``resize(image, shape)[region]``, in less time.

    Pillow resizes horizontally, rounds to whole gray levels, then resizes vertically. Here, the
    first step leaves out the rows and the second the columns that the region does not need. These
    are two calls because from version 13 on, Pillow resizes some tall images vertically first,
    which changes a few gray levels by one.

    Args:
        image: uint8 (height, width, channels).
        shape: height and width of the whole resized image.
        region: the part of it that is wanted.
        mirrored: whether left and right of the result are exchanged.

    Returns:
        uint8 (region.rows, region.columns, channels), maybe a view of the image.
    """
    top, left, rows, columns = region
    if image.shape[:2] == tuple(shape):
        pixels = image[top : top + rows, left : left + columns]
        return pixels[:, ::-1] if mirrored else pixels
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
