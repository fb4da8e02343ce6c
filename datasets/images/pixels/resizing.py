"""Bilinear, anti-aliased resizing of images or regions, bit-identical to Pillow's.

Images are uint8 arrays (height, width, channels). Those of other types, with any number of
channels, are resized by Pillow, channel by channel.
"""

import functools
from types import ModuleType
from typing import NamedTuple

import numpy as np

from datasets.images.pixels import pillow_resizing
from datasets.images.pixels.compiled_loops import compiled_or


class Region(NamedTuple):
    """A rectangle of pixels."""

    top: int
    left: int
    rows: int
    columns: int


def resized_shape(height: int, width: int, size: int) -> tuple[int, int]:
    """Return height and width when the shorter side is resized to ``size`` pixels.

    The longer side keeps the aspect ratio, rounded to whole pixels.
    """
    shorter = min(height, width)
    scale = size / shorter
    new_height, new_width = (
        size if side == shorter else max(size, round(side * scale)) for side in (height, width)
    )
    return new_height, new_width


def resize(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Resize the whole image, see ``resize_region``."""
    return resize_region(image, shape, Region(0, 0, *shape))


def resize_region(
    image: np.ndarray,
    shape: tuple[int, int],
    region: Region,
    mirrored: bool = False,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Compute ``resize(image, shape)[region]`` exactly, in less time.

    Args:
        image: (height, width, channels).
        shape: height and width of the whole resized image.
        region: region of the resized image to return.
        mirrored: whether to flip the result horizontally.
        out: contiguous array for the result, (region.rows, region.columns, channels) of the image's
            type.

    Returns:
        ``out``; without it, a new array or, if the image already has this shape, a view of it.
    """
    top, left, rows, columns = region
    if image.shape[:2] == tuple(shape):
        pixels = image[top : top + rows, left : left + columns]
        if out is None:
            return pixels[:, ::-1] if mirrored else pixels
        if mirrored:
            _loops_for(image).mirror_region(image, region, out)
        else:
            out[...] = pixels
        return out
    if out is None:
        out = np.empty((rows, columns, image.shape[2]), image.dtype)
    _loops_for(image).resize_region(image, shape, region, mirrored, out)
    return out


def _loops_for(image: np.ndarray) -> ModuleType:
    return pixel_loops() if image.dtype == np.uint8 else pillow_resizing


@functools.cache
def pixel_loops() -> ModuleType:
    """Return ``numba_resizing``, or ``pillow_resizing`` if Numba does not work.

    The first call takes a second, or several if the loops have to be compiled. Other threads that
    call this in the meantime wait, since Python imports a module only once.
    """
    name = "datasets.images.pixels.numba_resizing"
    return compiled_or(pillow_resizing, name, _pixels, "Images are resized")


def _pixels(loops: ModuleType) -> np.ndarray:
    """Return the pixels of an enlarged and a reduced image."""
    image = np.random.default_rng(0).integers(0, 256, (53, 67, 3), np.uint8)
    results = []
    for shape in (71, 84), (24, 31):
        region = Region(1, 2, shape[0] - 3, shape[1] - 4)
        out = np.zeros((region.rows, region.columns, 3), np.uint8)
        loops.resize_region(image, shape, region, True, out)
        results.append(out.ravel())
    return np.concatenate(results)
