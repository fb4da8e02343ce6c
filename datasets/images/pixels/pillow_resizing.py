"""``numba_resizing`` by Pillow and NumPy, slower but with the same pixels, if Numba fails."""

import numpy as np
from PIL import Image

_BILINEAR = Image.Resampling.BILINEAR


def resize_region(
    image: np.ndarray,
    shape: tuple[int, int],
    region: tuple[int, int, int, int],
    mirrored: bool,
    out: np.ndarray,
) -> None:
    """Write a region of the resized image to ``out``, see ``resizing.resize_region``.

    Pillow resizes horizontally, rounds to integers, then resizes vertically. These are two calls
    here because from version 13 on, it resizes some tall images vertically first, which changes a
    few values by one (https://github.com/python-pillow/Pillow/pull/9549).
    """
    if image.dtype != np.uint8:
        _resize_numbers(image, shape, region, mirrored, out)
        return
    top, left, rows, columns = region
    height = image.shape[0]
    picture = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
    wide = picture.resize((shape[1], height), _BILINEAR).crop((left, 0, left + columns, height))
    result = wide.resize((columns, shape[0]), _BILINEAR).crop((0, top, columns, top + rows))
    if mirrored:
        result = result.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    out[...] = np.asarray(result).reshape(out.shape)


def _resize_numbers(
    image: np.ndarray,
    shape: tuple[int, int],
    region: tuple[int, int, int, int],
    mirrored: bool,
    out: np.ndarray,
) -> None:
    """Resize 16-bit values channel by channel in float32, which is exact for them, and round."""
    top, left, rows, columns = region
    for channel in range(image.shape[2]):
        numbers = Image.fromarray(image[:, :, channel].astype(np.float32))
        resized = np.asarray(numbers.resize((shape[1], shape[0]), _BILINEAR))
        part = resized[top : top + rows, left : left + columns]
        out[:, :, channel] = np.rint(part[:, ::-1] if mirrored else part)


def mirror_region(image: np.ndarray, region: tuple[int, int, int, int], out: np.ndarray) -> None:
    """Write a region of the mirrored image to ``out``, see ``numba_resizing.mirror_region``."""
    top, left, rows, columns = region
    pixels = image[top : top + rows, left : left + columns][:, ::-1]
    # NumPy is slow at copying three bytes at a time, but fast for a single channel.
    for channel in range(image.shape[2]):
        out[:, :, channel] = pixels[:, :, channel]
