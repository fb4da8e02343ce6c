"""Augmentation step by step, as a reference for the one that computes only what is needed.

Images are arrays (height, width, channels), uint8 unless stated otherwise. Inputs are never
changed.
"""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

# Random erasing (Zhong et al., https://arxiv.org/abs/1708.04896): relative area, aspect ratio.
ERASED_AREA = (0.02, 0.3)
ERASED_ASPECT = (0.3, 1 / 0.3)
_ERASING_ATTEMPTS = 100  # enough for any photograph, finite for an extremely narrow image


@dataclass(frozen=True)
class Preprocessing:
    """Sizes and augmentation, see ``datasets.images.augmentation.preprocessing``."""

    train_size: int | tuple[int, int] | None = None
    test_size: int | None = None
    crop_size: int | None = None
    flip: float = 0.5
    erasing: float = 0.0
    shift: float = 0.0
    zoom: tuple[float, float] | None = None
    crop_scale: tuple[float, float] | None = None
    vflip: float = 0.0
    pad: int = 0
    white: int = 255

    def train(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Resize, flip, erase, shift and zoom, and crop randomly, in this order.

        Disabled steps draw nothing from the generator. The result is uint8 or, after shifting or
        zooming, float32 with values from 0 to 255.
        """
        if self.crop_scale:
            image = random_resized_crop(image, rng, self.crop_scale, self.crop_size)
        elif self.train_size:
            image = resize_shorter_side(image, draw_size(self.train_size, rng))
        if self.flip:
            image = random_flip(image, rng, self.flip)
        if self.vflip and rng.random() < self.vflip:
            image = image[::-1]
        if self.erasing:
            image = random_erasing(image, rng, self.erasing, self.white)
        if self.crop_scale:
            return image
        if self.shift or self.zoom:
            image = shift_zoom(image, rng, self.shift, self.zoom)
        if self.pad:
            image = np.pad(image, [(self.pad, self.pad)] * 2 + [(0, 0)], mode="reflect")
        return random_crop(image, rng, self.crop_size) if self.crop_size else image

    def test(self, image: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
        """Resize and crop the center; the generator is not used."""
        if self.test_size:
            image = resize_shorter_side(image, self.test_size)
        return center_crop(image, self.crop_size) if self.crop_size else image


def draw_size(size: int | tuple[int, int], rng: np.random.Generator) -> int:
    """Return the size, drawn if it is a half-open range (low, high)."""
    return int(rng.integers(*size)) if isinstance(size, tuple) else size


def resize_shorter_side(image: np.ndarray, size: int) -> np.ndarray:
    """Resize the shorter side to ``size`` pixels, bilinearly with anti-aliasing.

    The longer side keeps the aspect ratio, rounded to whole pixels.
    """
    height, width, channels = image.shape
    scale = size / min(height, width)
    new_height, new_width = (
        size if side == min(height, width) else max(size, round(side * scale))
        for side in (height, width)
    )
    if (new_height, new_width) == (height, width):
        return image
    picture = Image.fromarray(image[:, :, 0] if channels == 1 else image)
    # Horizontally, then vertically: the order of all versions of Pillow before 13.
    wide = picture.resize((new_width, height), Image.Resampling.BILINEAR)
    resized = wide.resize((new_width, new_height), Image.Resampling.BILINEAR)
    return np.asarray(resized).reshape(new_height, new_width, channels)


def random_flip(image: np.ndarray, rng: np.random.Generator, probability: float) -> np.ndarray:
    """Flip horizontally with the given probability."""
    return image[:, ::-1] if rng.random() < probability else image


def random_resized_crop(
    image: np.ndarray, rng: np.random.Generator, scale: tuple[float, float], size: int | None
) -> np.ndarray:
    """Crop a random region and resize it to a square of this size, or to the size of the image.

    The relative area is drawn uniformly, the aspect ratio (width / height) log-uniformly from 3/4
    to 4/3. After ten attempts that do not fit, it is the largest region in the center.
    """
    height, width, channels = image.shape
    for _ in range(10):
        area = rng.uniform(*scale) * height * width
        aspect = math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
        rows, columns = round((area / aspect) ** 0.5), round((area * aspect) ** 0.5)
        if 1 <= rows <= height and 1 <= columns <= width:
            top = int(rng.integers(height - rows + 1))
            left = int(rng.integers(width - columns + 1))
            break
    else:
        rows, columns = height, width
        if width / height > 4 / 3:
            columns = round(height * 4 / 3)
        elif width / height < 3 / 4:
            rows = round(width / (3 / 4))
        top, left = (height - rows) // 2, (width - columns) // 2
    part = image[top : top + rows, left : left + columns]
    new_height, new_width = (size, size) if size else (height, width)
    picture = Image.fromarray(part[:, :, 0] if channels == 1 else part)
    wide = picture.resize((new_width, rows), Image.Resampling.BILINEAR)
    resized = wide.resize((new_width, new_height), Image.Resampling.BILINEAR)
    return np.asarray(resized).reshape(new_height, new_width, channels)


def random_erasing(
    image: np.ndarray, rng: np.random.Generator, probability: float, white: int
) -> np.ndarray:
    """Fill a random rectangle with uniformly random pixels, with the given probability.

    Area and aspect ratio are drawn uniformly, and redrawn until the rectangle is smaller than the
    image in both directions. Then the position is drawn among those where it fits.
    """
    if rng.random() >= probability:
        return image
    rectangle = _erased_rectangle(*image.shape[:2], rng)
    if rectangle is None:
        return image
    rows, columns = rectangle
    erased = image.copy()
    patch = erased[rows, columns]
    patch[...] = rng.integers(0, white + 1, patch.shape, dtype=image.dtype)
    return erased


def _erased_rectangle(
    height: int, width: int, rng: np.random.Generator
) -> tuple[slice, slice] | None:
    for _ in range(_ERASING_ATTEMPTS):
        area = rng.uniform(*ERASED_AREA) * height * width
        aspect = rng.uniform(*ERASED_ASPECT)
        rows, columns = int(math.sqrt(area * aspect)), int(math.sqrt(area / aspect))
        if rows < height and columns < width:
            top = int(rng.integers(height - rows + 1))
            left = int(rng.integers(width - columns + 1))
            return slice(top, top + rows), slice(left, left + columns)
    return None


def random_crop(image: np.ndarray, rng: np.random.Generator, size: int) -> np.ndarray:
    """Crop a square at a random position; smaller images are padded first, at a random offset."""
    tops, lefts = (int(rng.integers(abs(side - size) + 1)) for side in image.shape[:2])
    image = _pad(image, size, tops, lefts)
    top, left = (
        offset if padded > size else 0
        for offset, padded in zip((tops, lefts), image.shape[:2], strict=True)
    )
    return image[top : top + size, left : left + size]


def center_crop(image: np.ndarray, size: int) -> np.ndarray:
    """Crop the square in the center; smaller images are padded by reflection first."""
    image = _pad(image, size, *((size - side) // 2 for side in image.shape[:2]))
    top, left = (image.shape[0] - size) // 2, (image.shape[1] - size) // 2
    return image[top : top + size, left : left + size]


def _pad(image: np.ndarray, size: int, above: int, before: int) -> np.ndarray:
    """Pad sides shorter than ``size`` by reflection, beginning with this many rows and columns."""
    widths = [
        (offset, size - side - offset) if side < size else (0, 0)
        for side, offset in zip(image.shape[:2], (above, before), strict=True)
    ]
    return np.pad(image, [*widths, (0, 0)], mode="reflect")


def shift_zoom(
    image: np.ndarray,
    rng: np.random.Generator,
    shift: float,
    zoom: tuple[float, float] | None,
) -> np.ndarray:
    """Shift the image by fractions of a pixel, and scale it about its center.

    The shifts of rows and columns are drawn first, then (with ``zoom``) the scale factors. Row
    ``y`` comes from row ``factor * (y - center) + center + shift``; factors below 1 magnify.

    Returns:
        float32 (height, width, channels); positions outside the image have its border pixels.
    """
    sides = image.shape[:2]
    shifts = rng.uniform(-shift, shift, 2)
    factors = rng.uniform(*zoom, 2) if zoom else (1.0, 1.0)
    coordinates = [
        factor * (np.arange(side) - (side - 1) / 2) + (side - 1) / 2 + fraction * side
        for side, fraction, factor in zip(sides, shifts, factors, strict=True)
    ]
    return resample(image, *coordinates)


def resample(image: np.ndarray, ys: np.ndarray, xs: np.ndarray) -> np.ndarray:
    """Interpolate bilinearly at all combinations of rows ``ys`` and columns ``xs``."""
    height, width, channels = image.shape
    rows = _weights(ys, height) @ image.reshape(height, -1).astype(np.float32)
    return np.matmul(_weights(xs, width), rows.reshape(len(ys), width, channels))


def _weights(coordinates: np.ndarray, side: int) -> np.ndarray:
    """Return the matrix of linear interpolation along one side: float32 (coordinates, side)."""
    inside = np.clip(coordinates, 0, side - 1)
    return np.maximum(0, 1 - np.abs(inside[:, np.newaxis] - np.arange(side))).astype(np.float32)
