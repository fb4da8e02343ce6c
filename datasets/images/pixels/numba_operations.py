"""Compiled loops over pixels: the operations of ``pillow_operations``, with the same results.

Importing this module imports Numba and compiles the loops, or loads them from Numba's cache: only
``operations`` does, when an image has to be changed.

Pixels are computed as in Pillow's C code: blends in single precision, truncated to integers;
nearest pixels by coordinates in multiples of 2**-16. Numba computes integers in 64 bits, for which
vector instructions are few and slow: sums are converted to int32 before they are used. Lines are
taken by their index, since Numba does not know that those it iterates over are contiguous.
"""

import math

import numpy as np
from numba import float32, int32, int64, intp, types, uint8, uint16, uint32, uintp

from datasets.images.pixels.numba_resizing import (
    READ_ONLY,
    WRITABLE,
    as_level,
    compiled,
    copy,
    inner,
    lines_of,
)

_COUNTS = types.Array(uint32, 2, "C")
_LOOKUP = types.void(WRITABLE, READ_ONLY)
_HISTOGRAM = types.void(READ_ONLY, _COUNTS)
_GRAY_TOTAL = int64(READ_ONLY)
_BLEND = types.void(WRITABLE, int32, float32)
_RAISE = types.void(WRITABLE, int32)
_COLOR = types.void(WRITABLE, float32)
_SHARPEN = types.void(READ_ONLY, intp, float32, WRITABLE)
_MIX = types.void(READ_ONLY, READ_ONLY, int32, WRITABLE)
_AFFINE = types.void(READ_ONLY, intp, *[int64] * 6, types.Array(uint8, 1, "C"), WRITABLE)

_ONE, _TWO, _THREE = uintp(1), uintp(2), uintp(3)
_TOGETHER = 12  # neighboring bytes; their channels are the same for every 12, be it 1 or 3
_LARGE = 65536.0  # factor of blends
_FIXED = 65536  # 1 in fixed-point coordinates


def lookup(image: np.ndarray, tables: np.ndarray) -> None:
    """Replace each value by its entry in the channel's table, uint8 (channels, 256)."""
    _lookup(lines_of(image), np.tile(tables, (_TOGETHER // image.shape[2], 1)))


def histogram(image: np.ndarray) -> np.ndarray:
    """Count the pixels with each value, int64 (channels, 256)."""
    counts = np.zeros((_TOGETHER, 256), np.uint32)
    _histogram(lines_of(image), counts)
    return counts.reshape(-1, image.shape[2], 256).sum(axis=0, dtype=np.int64)


def gray_mean(image: np.ndarray) -> float:
    """Return the mean gray level of the image."""
    if image.shape[2] == 1:
        return float(image.mean())
    return _gray_total(lines_of(image)) / (image.shape[0] * image.shape[1])


def blend(image: np.ndarray, level: int, factor: float) -> None:
    """Blend a gray level with the image: factor 0 gives that level, 1 changes nothing."""
    _blend_level(lines_of(image), level, _within(factor))


def raise_dark(image: np.ndarray, amount: int) -> None:
    """Add to all values below 128, up to 255."""
    _raise_dark(lines_of(image), amount)


def color(image: np.ndarray, factor: float) -> None:
    """Blend the gray image with the RGB image: factor 0 gives gray, 1 changes nothing."""
    if image.shape[2] == 3:
        _color(lines_of(image), _within(factor))


def sharpen(image: np.ndarray, factor: float) -> None:
    """Blend the smoothed image with the image: factor 0 smooths, 1 changes nothing."""
    _sharpen(lines_of(image).copy(), image.shape[2], _within(factor), lines_of(image))


def mix(image: np.ndarray, other: np.ndarray, weight: int, out: np.ndarray) -> None:
    """Write the weighted sum of two images to a third, see ``pillow_operations.mix``."""
    _mix(lines_of(image), lines_of(other), weight, lines_of(out))


def affine(image: np.ndarray, matrix: tuple[float, ...], fill: tuple[int, ...]) -> None:
    """Apply an affine transform with nearest pixels, see ``pillow_operations.affine``."""
    a, b, c, d, e, f = matrix
    centered = (a, b, c + a * 0.5 + b * 0.5, d, e, f + d * 0.5 + e * 0.5)
    fixed = [math.floor(value * _FIXED + 0.5) for value in centered]
    fill = np.tile(np.array(fill, np.uint8), image.shape[1])
    _affine(lines_of(image).copy(), image.shape[2], *fixed, fill, lines_of(image))


def _within(factor: float) -> float:
    """Limit a factor, so that products fit in int32; beyond, levels are 0, 255 or unchanged."""
    return min(max(factor, -_LARGE), _LARGE)


@inner
def _blend(base, value, factor):
    """Return base + factor * (value - base), truncated and clipped to 0 … 255."""
    base = float32(base)
    return as_level(base + factor * (float32(value) - base))


def _lookup_loop(lines, tables):
    size, step = uintp(lines.shape[1]), uintp(_TOGETHER)
    whole = size - size % step
    for y in range(len(lines)):
        line = lines[y]
        for j in range(uintp(0), whole, step):
            for c in range(step):
                line[j + c] = tables[c, line[j + c]]
        for j in range(whole, size):
            line[j] = tables[j - whole, line[j]]


def _histogram_loop(lines, counts):
    # Neighbors often have the same value. They are counted in different tables, since increasing
    # the same entry has to wait for the last time.
    size, step = uintp(lines.shape[1]), uintp(_TOGETHER)
    whole = size - size % step
    for y in range(len(lines)):
        line = lines[y]
        for j in range(uintp(0), whole, step):
            for c in range(step):
                counts[c, line[j + c]] += uint32(1)
        for j in range(whole, size):
            counts[j - whole, line[j]] += uint32(1)


def _blend_loop(lines, level, factor):
    for y in range(len(lines)):
        line = lines[y]
        if level == 0:  # a third faster
            for j in range(uintp(len(line))):
                line[j] = as_level(factor * float32(line[j]))
        else:
            for j in range(uintp(len(line))):
                line[j] = _blend(level, line[j], factor)


def _raise_loop(lines, amount):
    for y in range(len(lines)):
        line = lines[y]
        for j in range(uintp(len(line))):
            added = amount if line[j] < 128 else int32(0)
            line[j] = uint8(min(int32(int32(line[j]) + added), int32(255)))


@inner
def _gray(red, green, blue):
    return int32(red * 19595 + green * 38470 + blue * 7471 + 32768) >> int32(16)


def _gray_total_loop(lines):
    levels = np.empty(lines.shape[1] // 3, np.uint8)
    total = 0
    for y in range(len(lines)):
        line = lines[y]
        for x in range(uintp(len(line)) // _THREE):
            j = x * _THREE
            levels[x] = uint8(_gray(line[j], line[j + _ONE], line[j + _TWO]))
        part = int32(0)
        for x in range(uintp(len(levels))):
            part += int32(levels[x])
        total += part
    return total


def _color_loop(lines, factor):
    # Channel by channel, since a line of one channel needs no shuffling within the loop.
    planes = np.empty((3, lines.shape[1] // 3), np.uint8)
    red, green, blue = planes[0], planes[1], planes[2]
    for y in range(len(lines)):
        line = lines[y]
        for x in range(uintp(len(line)) // _THREE):
            j = x * _THREE
            red[x], green[x], blue[x] = line[j], line[j + _ONE], line[j + _TWO]
        for x in range(uintp(len(red))):
            gray = int32(_gray(red[x], green[x], blue[x]))
            red[x] = _blend(gray, red[x], factor)
            green[x] = _blend(gray, green[x], factor)
            blue[x] = _blend(gray, blue[x], factor)
        for x in range(uintp(len(line)) // _THREE):
            j = x * _THREE
            line[j], line[j + _ONE], line[j + _TWO] = red[x], green[x], blue[x]


def _sharpen_loop(lines, channels, factor, out):
    size, step = uintp(lines.shape[1]), uintp(channels)
    sums = np.empty(size, np.uint16)  # sums over three lines
    for y in range(1, len(lines) - 1):
        above, line, below, target = lines[y - 1], lines[y], lines[y + 1], out[y]
        for j in range(size):
            sums[j] = uint16(above[j]) + uint16(line[j]) + uint16(below[j])
        for j in range(step, size - step):
            total = sums[j - step] + sums[j] + sums[j + step] + uint16(4) * uint16(line[j])
            smooth = int32(int32(uint16(total + uint16(6))) * int32(5042))
            smooth = int32(smooth >> int32(16))  # divided by 13, exactly up to 6,553
            target[j] = _blend(smooth, line[j], factor)


def _mix_loop(lines, others, weight, out):
    own = int32(256) - weight
    for y in range(uintp(len(lines))):
        line, other, target = lines[y], others[y], out[y]
        for j in range(uintp(len(line))):
            target[j] = uint8(int32(line[j] * own + other[j] * weight + 128) >> int32(8))


@inner
def _inside(u, a, side, count):
    """Return the range of x below ``count`` where u + a x is inside the image, in fixed point."""
    last = side * _FIXED - 1
    if a > 0:
        first, end = -(u // a), (last - u) // a + 1
    elif a < 0:
        first, end = -((last - u) // -a), u // -a + 1
    else:
        first, end = 0, count if 0 <= u <= last else 0
    return max(0, first), min(count, end)


@inner
def _copy_pixels(lines, u, v, a, d, target, step):
    """Copy the pixels from column u and row v on, in steps of a and d."""
    if a == _FIXED and d == 0:  # they are contiguous
        copy(lines[uintp(v >> 16), uintp(u >> 16) * step :][: len(target)], target)
    elif step == _THREE:
        for j in range(uintp(0), uintp(len(target)), _THREE):
            row, old = uintp(v >> 16), uintp(u >> 16) * _THREE
            target[j] = lines[row, old]
            target[j + _ONE] = lines[row, old + _ONE]
            target[j + _TWO] = lines[row, old + _TWO]
            u, v = u + a, v + d
    else:
        for j in range(uintp(len(target))):
            target[j] = lines[uintp(v >> 16), uintp(u >> 16)]
            u, v = u + a, v + d


def _affine_loop(lines, channels, a, b, c, d, e, f, fill, out):
    height, width, step = len(lines), lines.shape[1] // channels, uintp(channels)
    for y in range(height):
        u, v, target = c + b * y, f + e * y, out[y]
        columns, rows = _inside(u, a, width, width), _inside(v, d, height, width)
        first = min(width, max(columns[0], rows[0]))
        end = max(first, min(columns[1], rows[1]))
        copy(fill[: first * channels], target)
        copy(fill[end * channels :], target[end * channels :])
        if first < end:
            places = u + a * first, v + d * first, a, d
            _copy_pixels(lines, *places, target[first * channels : end * channels], step)


_lookup = compiled(_LOOKUP, _lookup_loop)
_histogram = compiled(_HISTOGRAM, _histogram_loop)
_gray_total = compiled(_GRAY_TOTAL, _gray_total_loop)
_blend_level = compiled(_BLEND, _blend_loop)
_raise_dark = compiled(_RAISE, _raise_loop)
_color = compiled(_COLOR, _color_loop)
_sharpen = compiled(_SHARPEN, _sharpen_loop)
_mix = compiled(_MIX, _mix_loop)
_affine = compiled(_AFFINE, _affine_loop)
