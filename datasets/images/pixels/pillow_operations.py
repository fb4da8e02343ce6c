"""Pillow's operations on the pixels of an image; ``numba_operations`` computes most of them faster.

Images are contiguous uint8 arrays (height, width, channels) with 1 or 3 channels, changed in place.
"""

import numpy as np
from PIL import Image, ImageEnhance


def picture(image: np.ndarray) -> Image.Image:
    """Convert an array to Pillow's type."""
    return Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)


def replace(image: np.ndarray, result: Image.Image) -> None:
    """Replace the pixels by those of a Pillow image."""
    image[...] = np.asarray(result).reshape(image.shape)


def lookup(image: np.ndarray, tables: np.ndarray) -> None:
    """Replace each value by its entry in the channel's table, uint8 (channels, 256)."""
    replace(image, picture(image).point(tables.ravel().tolist()))


def histogram(image: np.ndarray) -> np.ndarray:
    """Count the pixels with each value, int64 (channels, 256)."""
    return np.array(picture(image).histogram()).reshape(-1, 256)


def gray_mean(image: np.ndarray) -> float:
    """Return the mean gray level of the image."""
    counts = picture(image).convert("L").histogram()
    return sum(level * count for level, count in enumerate(counts)) / sum(counts)


def blend(image: np.ndarray, level: int, factor: float) -> None:
    """Blend a gray level with the image: factor 0 gives that level, 1 changes nothing."""
    new = picture(image)
    replace(
        image, Image.blend(Image.new(new.mode, new.size, (level,) * image.shape[2]), new, factor)
    )


def raise_dark(image: np.ndarray, amount: int) -> None:
    """Add to all values below 128, up to 255."""
    image[...] = np.where(image < 128, (image.astype(int) + amount).clip(max=255), image)


def color(image: np.ndarray, factor: float) -> None:
    """Blend the gray image with the RGB image: factor 0 gives gray, 1 changes nothing."""
    replace(image, ImageEnhance.Color(picture(image)).enhance(factor))


def sharpen(image: np.ndarray, factor: float) -> None:
    """Blend the smoothed image with the image: factor 0 smooths, 1 changes nothing."""
    replace(image, ImageEnhance.Sharpness(picture(image)).enhance(factor))


def mix(image: np.ndarray, other: np.ndarray, weight: int, out: np.ndarray) -> None:
    """Write the weighted sum of two images to a third.

    Args:
        image: the first image.
        other: the second image.
        weight: weight of the second image, in units of 1/256.
        out: the result, rounded to integers.
    """
    total, added = image.astype(np.uint16), other.astype(np.uint16)
    total *= 256 - weight
    added *= weight
    total += added
    total += 128
    total >>= 8
    out[...] = total


def affine(image: np.ndarray, matrix: tuple[float, ...], fill: tuple[int, ...]) -> None:
    """Apply an affine transform with nearest pixels, see ``transform``."""
    transform(image, matrix, fill, Image.Resampling.NEAREST)


def transform(
    image: np.ndarray,
    matrix: tuple[float, ...],
    fill: tuple[int, ...],
    resampling: Image.Resampling,
) -> None:
    """Apply an affine transform to the image.

    Args:
        image: the image.
        matrix: a, b, c, d, e, f: the pixel with center (x, y) is sampled at
            (a x + b y + c, d x + e y + f); the center of the first pixel is (0.5, 0.5).
        fill: color outside the image, one value per channel.
        resampling: interpolation.
    """
    old = picture(image)
    color = fill if len(fill) > 1 else fill[0]
    replace(image, old.transform(old.size, Image.Transform.AFFINE, matrix, resampling, 1, color))
