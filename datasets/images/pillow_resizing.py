"""``numba_resizing`` by Pillow and NumPy: the same pixels, slowly, where Numba cannot work."""

import math

import numpy as np
from PIL import Image

_BILINEAR = Image.Resampling.BILINEAR


def suits(image: np.ndarray, shape: tuple[int, int]) -> bool:
    """Tell whether the image can be resized to this height and width: always."""
    return True


def resize_region(
    image: np.ndarray,
    shape: tuple[int, int],
    region: tuple[int, int, int, int],
    mirrored: bool,
    out: np.ndarray,
) -> None:
    """Write a region of the resized image to ``out``.

    Pillow resizes horizontally, rounds to whole gray levels, then resizes vertically. Here, the
    first step leaves out the rows and the second the columns that the region does not need. These
    are two calls because from version 13 on, Pillow resizes some tall images vertically first,
    which changes a few gray levels by one.

    Args:
        image: uint8 (height, width, channels).
        shape: height and width of the whole resized image.
        region: top, left, rows and columns of the part that is wanted.
        mirrored: whether left and right of the result are exchanged.
        out: uint8 (rows, columns, channels).
    """
    top, left, rows, columns = region
    old_height = image.shape[0]
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
    out[...] = np.asarray(result).reshape(out.shape)


def mirror_region(image: np.ndarray, region: tuple[int, int, int, int], out: np.ndarray) -> None:
    """Write a region of the mirrored image to ``out``.

    Args:
        image: uint8 (height, width, channels).
        region: top, left, rows and columns.
        out: uint8 (rows, columns, channels).
    """
    top, left, rows, columns = region
    pixels = image[top : top + rows, left : left + columns][:, ::-1]
    # NumPy copies three bytes at a time slowly, and one channel at a time quickly.
    for channel in range(image.shape[2]):
        out[:, :, channel] = pixels[:, :, channel]


def _rows_needed(old_height: int, height: int, top: int, rows: int) -> tuple[int, int]:
    """Return the first contributing row and the one after the last, generously rounded."""
    scale = old_height / height
    support = max(1.0, scale)
    first = math.floor(top * scale - support) - 1
    last = math.ceil((top + rows) * scale + support) + 1
    return max(0, first), min(old_height, last)


def _exact_box(
    old_height: int, height: int, top: int, rows: int, first: int
) -> tuple[float, float] | None:
    """Return upper and lower edge of the region in image rows, counted from row ``first``.

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
