"""Subpixel shifts and zooms, for many small images at once."""

import numpy as np


def coordinates(side: int, fraction: float, factor: float = 1.0) -> np.ndarray:
    """Return the source of each row (or column) of a shifted and zoomed image, float64 (side,).

    Row ``y`` comes from row ``factor * (y - center) + center + fraction * side``; factors below 1
    magnify.
    """
    center = (side - 1) / 2
    return factor * (np.arange(side) - center) + center + fraction * side


def resample(images: np.ndarray, ys: np.ndarray, xs: np.ndarray) -> np.ndarray:
    """Interpolate bilinearly at all combinations of rows ``ys`` and columns ``xs``.

    Args:
        images: (b, height, width, channels).
        ys: (b, n), row coordinates in pixels, 0 being the center of the first row.
        xs: (b, m), column coordinates in pixels.

    Returns:
        float32 (b, n, m, channels); positions outside the image have its border pixels.
    """
    count, height, width, channels = images.shape
    lines = images.reshape(count * height, width * channels)
    start = height * np.arange(count).reshape(count, 1)
    first, second, weight = _neighbors(ys, height)
    rows = _mix(
        np.take(lines, start + first, axis=0),
        np.take(lines, start + second, axis=0),
        weight[:, :, np.newaxis],
    )
    pixels = rows.reshape(-1, channels)
    start = width * np.arange(len(pixels) // width).reshape(count, -1, 1)
    first, second, weight = _neighbors(xs, width)
    # NumPy is slow at short axes, so rows of pixels are flattened.
    row = (*rows.shape[:2], xs.shape[1] * channels)
    columns = _mix(
        np.take(pixels, start + first[:, np.newaxis], axis=0).reshape(row),
        np.take(pixels, start + second[:, np.newaxis], axis=0).reshape(row),
        np.repeat(weight, channels, axis=1)[:, np.newaxis],
    )
    return columns.reshape(*rows.shape[:2], xs.shape[1], channels)


def _neighbors(positions: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the two pixels around each position, and the weight of the second, float32."""
    inside = np.clip(positions, 0, side - 1)
    first = np.minimum(inside.astype(np.int64), max(0, side - 2))
    return first, np.minimum(first + 1, side - 1), (inside - first).astype(np.float32)


def _mix(first: np.ndarray, second: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return ``(1 - weight) * first + weight * second``, float32."""
    result = first * (1 - weight)
    result += second * weight
    return result
