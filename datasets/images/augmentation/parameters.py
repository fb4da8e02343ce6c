"""Augmentation parameters, which are drawn before any pixel is computed."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from datasets.images.pixels.resizing import Region, resized_shape
from datasets.images.pixels.shifting import coordinates

# Random erasing (Zhong et al., https://arxiv.org/abs/1708.04896): relative area, aspect ratio.
ERASED_AREA = (0.02, 0.3)
ERASED_ASPECT = (0.3, 1 / 0.3)
_ERASING_ATTEMPTS = 100  # enough for any photograph, finite for an extremely narrow image

# Random resized crop, as in PyTorch's ImageNet example: width / height, before it is resized.
CROPPED_ASPECT = (3 / 4, 4 / 3)
_CROP_ATTEMPTS = 10


class Patch(NamedTuple):
    """A rectangle and its new pixels."""

    top: int
    left: int
    pixels: np.ndarray  # uint8 or uint16 (rows, columns, channels)


class TransformParams(NamedTuple):
    """Parameters of the steps for one image, in their order."""

    shape: tuple[int, int]  # height and width after resizing
    mirrored: bool = False  # whether the image is flipped left to right
    erased: Patch | None = None  # rectangle of the resized and mirrored image
    # rows and columns at which the image is sampled (see ``shifting``)
    moved: tuple[np.ndarray, np.ndarray] | None = None
    # square; where it extends beyond the image, e.g. a smaller one, the image is padded by
    # reflection, so that rows and columns may be negative
    crop: Region | None = None
    part: Region | None = None  # region of the original image to use; None: the whole image
    flipped: bool = False  # whether the image is flipped top to bottom
    # in this order, applied to the visible part of the image, before erasing
    changes: Sequence[Callable[[np.ndarray], None]] = ()

    @property
    def padded(self) -> bool:
        """Whether the crop extends beyond the image."""
        if self.crop is None:
            return False
        (height, width), (top, left, rows, columns) = self.shape, self.crop
        return min(top, left) < 0 or top + rows > height or left + columns > width

    @property
    def result_shape(self) -> tuple[int, int]:
        """Height and width of the result."""
        return self.shape if self.crop is None else (self.crop.rows, self.crop.columns)

    def result_type(self, image: np.ndarray) -> type | np.dtype:
        """Return the type of the result: that of the image unless pixels are interpolated."""
        return np.float32 if self.moved else image.dtype

    @property
    def visible(self) -> Region:
        """The region of the resized and mirrored image that the result needs."""
        whole = self.crop is None or self.moved or self.padded
        return Region(0, 0, *self.shape) if whole else self.crop


def draw_shape(
    height: int, width: int, size: int | tuple[int, int] | None, rng: np.random.Generator
) -> tuple[int, int]:
    """Return height and width after resizing the shorter side; unchanged if there is no size.

    The size is drawn if it is a half-open range (low, high).
    """
    if isinstance(size, tuple):
        size = int(rng.integers(*size))
    return resized_shape(height, width, size) if size else (height, width)


def draw_erased(
    shape: tuple[int, int, int], probability: float, rng: np.random.Generator, white: int = 255
) -> Patch | None:
    """Draw a rectangle of pixels, uniformly random from 0 to ``white``, with this probability.

    Area and aspect ratio are drawn uniformly, and redrawn until the rectangle is smaller than the
    image in both directions. Then the position is drawn among those where it fits. Algorithm 1 of
    https://arxiv.org/abs/1708.04896 redraws the size also if the position does not fit, which makes
    large rectangles rare; the published code of the cosine loss does not.
    """
    if rng.random() >= probability:
        return None
    height, width, channels = shape
    for _ in range(_ERASING_ATTEMPTS):
        area = rng.uniform(*ERASED_AREA) * height * width
        aspect = rng.uniform(*ERASED_ASPECT)
        rows, columns = int(math.sqrt(area * aspect)), int(math.sqrt(area / aspect))
        if rows < height and columns < width:
            top, left = (int(rng.integers(n + 1)) for n in (height - rows, width - columns))
            erased, kind = (rows, columns, channels), np.min_scalar_type(white)
            return Patch(top, left, rng.integers(white, size=erased, dtype=kind, endpoint=True))
    return None


def draw_moved(
    height: int,
    width: int,
    shift: float,
    zoom: tuple[float, float] | None,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw rows and columns to sample the image at: shifts, then (with ``zoom``) scale factors.

    Args:
        height: height of the image in pixels.
        width: width of the image in pixels.
        shift: largest shift, as a fraction of the height for rows and of the width for columns.
        zoom: range of the scale factors, or None for no scaling.
        rng: source of random numbers.
    """
    down, right = rng.uniform(-shift, shift, 2).tolist()
    tall, wide = rng.uniform(*zoom, 2).tolist() if zoom else (1.0, 1.0)
    return coordinates(height, down, tall), coordinates(width, right, wide)


def draw_part(
    height: int, width: int, scale: tuple[float, float], rng: np.random.Generator
) -> Region:
    """Draw a rectangle to crop and resize: relative area uniformly, aspect ratio log-uniformly.

    Both are redrawn until it fits. After ten attempts, it is the largest centered rectangle with an
    aspect ratio within the limits.
    """
    lowest, highest = CROPPED_ASPECT
    for _ in range(_CROP_ATTEMPTS):
        area = rng.uniform(*scale) * height * width
        aspect = math.exp(rng.uniform(math.log(lowest), math.log(highest)))
        rows, columns = round(math.sqrt(area / aspect)), round(math.sqrt(area * aspect))
        if 0 < rows <= height and 0 < columns <= width:
            top, left = (int(rng.integers(n + 1)) for n in (height - rows, width - columns))
            return Region(top, left, rows, columns)
    rows, columns = min(height, round(width / lowest)), min(width, round(height * highest))
    return Region((height - rows) // 2, (width - columns) // 2, rows, columns)


def draw_crop(height: int, width: int, size: int, rng: np.random.Generator, pad: int = 0) -> Region:
    """Draw the position of a square: within the image or, along smaller axes, around it.

    The image includes ``pad`` pixels on every side, so that rows and columns may be negative.
    """
    top, left = (
        _start(side + 2 * pad, size, lambda n: int(rng.integers(n + 1))) - pad
        for side in (height, width)
    )
    return Region(top, left, size, size)


def center_crop(height: int, width: int, size: int) -> Region:
    """Return the square in the center."""
    top, left = (_start(side, size, lambda n: n // 2) for side in (height, width))
    return Region(top, left, size, size)


def _start(side: int, size: int, choose: Callable[[int], int]) -> int:
    """Return the start of the square along one axis; ``choose`` gets the difference of lengths."""
    return choose(side - size) if side >= size else -choose(size - side)
