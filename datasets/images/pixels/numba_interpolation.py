"""Compiled loops over pixels: Pillow's bilinear and bicubic affine transforms.

Importing this module imports Numba and compiles the loops, or loads them from Numba's cache: only
``operations`` does, when an image has to be interpolated.

Arithmetic follows Pillow's ``libImaging/Geometry.c``, in the same order: positions in double
precision as there, but values in single precision, which takes two thirds of the time. Values whose
exact result is an integer may be truncated to the one below here or there.

If a transform moves pixels along one axis only, all fractions along the other are 0, and nothing is
interpolated there. The image is surrounded by copies of its outermost pixels, so that neighbors
always exist. For vector instructions, loops run over the bytes of a line, see ``numba_resizing``.
"""

import math

import numpy as np
from numba import float32, float64, int32, intp, types, uint8, uintp
from PIL.Image import Resampling

from datasets.images.pixels.numba_resizing import (
    WRITABLE,
    as_level,
    compiled,
    copy,
    gather,
    inner,
    lines_of,
)

_TRANSFORM = types.void(WRITABLE, intp, *[float64] * 6, intp, types.Array(uint8, 1, "C"))

_TAPS = {Resampling.BILINEAR: 2, Resampling.BICUBIC: 4}  # pixels along each axis
_AROUND = 2  # copies of the outermost pixels on each side
_SLACK = 8  # bytes beyond the end of an array that may be read or written
_FLAT = 1e-6  # slopes up to here divide too inexactly to estimate where the image begins
_ONE, _TWO, _THREE = uintp(1), uintp(2), uintp(3)


def transform(
    image: np.ndarray,
    matrix: tuple[float, ...],
    fill: tuple[int, ...],
    resampling: Resampling,
) -> None:
    """Resample the image at other positions, see ``pillow_operations.transform``."""
    fill = np.tile(np.array(fill, np.uint8), image.shape[1])
    _transform(lines_of(image), image.shape[2], *matrix, _TAPS[resampling], fill)


@inner
def _surrounded(lines, channels):
    """Return the bytes of the image with copies of its outermost pixels around it."""
    height, size = lines.shape
    margin = _AROUND * channels
    stride = size + 2 * margin
    out = np.zeros((height + 2 * _AROUND) * stride + _SLACK, np.uint8)
    for y in range(height + 2 * _AROUND):
        line, source = out[y * stride :], lines[min(max(y - _AROUND, 0), height - 1)]
        copy(source, line[margin:])
        for j in range(margin):
            line[j] = source[j % channels]
            line[margin + size + j] = source[size - channels + j % channels]
    return out, stride


@inner
def _place(u, a, b, c):
    return a * u + b + c


@inner
def _index(x, first, end):
    return int32(min(max(x, float64(first)), float64(end)))


@inner
def _shown(first, end, a, b, c, side):
    """Narrow a range of x to those whose positions are inside the image, which are contiguous."""
    if abs(a) > _FLAT:  # where it begins and ends, but for rounding
        x1, x2 = -(b + c) / a - 0.5, (side - b - c) / a - 0.5
        low, high = _index(min(x1, x2), first, end), _index(max(x1, x2), first, end)
        first, end = max(first, low - 1), min(end, high + 2)
    while first < end and not 0.0 <= _place(first + 0.5, a, b, c) < side:
        first += 1
    while first < end and not 0.0 <= _place(end - 0.5, a, b, c) < side:
        end -= 1
    return first, end


@inner
def _locate(centers, a, b, c, step, offsets, fractions):
    """Compute the pixel before each position, times ``step``, and the distance from it."""
    if a == 0.0 or a == 1.0:  # the distance is the same for all
        place = _place(0.5, a, b, c) - 0.5
        pixel = int32(math.floor(place))
        for x in range(uintp(len(centers))):
            offsets[x] = int32(int32(pixel + int32(x) * int32(a)) * int32(step))
        fractions[:] = float32(place - pixel)
        return
    for x in range(uintp(len(centers))):
        place = _place(centers[x], a, b, c) - 0.5
        pixel = math.floor(place)
        offsets[x] = int32(int32(pixel) * int32(step))
        fractions[x] = float32(place - pixel)


@inner
def _spread(pixels, channels, out):
    """Repeat the value of each pixel for each of its bytes."""
    if channels == 3:
        for x in range(uintp(len(out)) // _THREE):
            j, value = x * _THREE, pixels[x]
            out[j], out[j + _ONE], out[j + _TWO] = value, value, value
    else:
        for j in range(uintp(len(out))):
            out[j] = pixels[j]


@inner
def _add(columns, rows, start, out):
    """Compute the offsets of the first taps."""
    for x in range(uintp(len(out))):
        out[x] = uintp(int32(start) + columns[x] + rows[x])


@inner
def _taps(flat, offsets, straight, step, channels, gathered):
    """Return the values at the offsets, and one, two and three steps further."""
    if straight:
        flat = flat[offsets[0] :]
        return flat, flat[step:], flat[2 * step :], flat[3 * step :]
    count = len(gathered)
    for k in range(count):
        gather(flat[k * step :], offsets, uintp(channels), gathered[k])
    return gathered[0], gathered[1], gathered[count - 2], gathered[count - 1]


@inner
def _linear(v, w, t):
    v, w = float32(v), float32(w)
    return v + (w - v) * t


@inner
def _cubic(v1, v2, v3, v4, t):
    v1, v2, v3, v4 = float32(v1), float32(v2), float32(v3), float32(v4)
    p3, p4 = float32(2) * (v1 - v2) + v3 - v4, v2 - v1 - v3 + v4
    return v2 + t * (v3 - v1 + t * (p3 + t * p4))


@inner
def _to_levels(a, b, c, d, count, fractions, out):
    """Interpolate between 2 or 4 lines, truncated to 0 … 255."""
    if count == 2:
        for j in range(uintp(len(out))):
            out[j] = uint8(int32(_linear(a[j], b[j], fractions[j])))  # never beyond 0 … 255
    else:
        for j in range(uintp(len(out))):
            out[j] = as_level(_cubic(a[j], b[j], c[j], d[j], fractions[j]))


@inner
def _to_both_sides(flat, offsets, stride, channels, gathered, right, below, out):
    """Interpolate along each of 2 or 4 lines, then between these."""
    count, g = len(gathered), gathered
    for row in range(count):
        for column in range(count):
            taps = flat[row * stride + column * channels :]
            gather(taps, offsets, uintp(channels), g[row, column])
    if count == 2:
        for j in range(uintp(len(out))):
            t = right[j]
            top, bottom = _linear(g[0, 0, j], g[0, 1, j], t), _linear(g[1, 0, j], g[1, 1, j], t)
            out[j] = uint8(int32(_linear(top, bottom, below[j])))
    else:
        for j in range(uintp(len(out))):
            t = right[j]
            first = _cubic(g[0, 0, j], g[0, 1, j], g[0, 2, j], g[0, 3, j], t)
            second = _cubic(g[1, 0, j], g[1, 1, j], g[1, 2, j], g[1, 3, j], t)
            third = _cubic(g[2, 0, j], g[2, 1, j], g[2, 2, j], g[2, 3, j], t)
            fourth = _cubic(g[3, 0, j], g[3, 1, j], g[3, 2, j], g[3, 3, j], t)
            out[j] = as_level(_cubic(first, second, third, fourth, below[j]))


def _transform_loop(lines, channels, a, b, c, d, e, f, count, fill):
    height, size = lines.shape
    width = size // channels
    across = not (a == 1.0 and b == 0.0 and c == 0.0)
    down = not (d == 0.0 and e == 1.0 and f == 0.0)
    straight = a == 1.0 and d == 0.0  # neighbors in a line of the result are neighbors before, too
    if not across and not down:
        return
    flat, stride = _surrounded(lines, channels)
    before = count // 2 - 1  # taps before a position
    start = (_AROUND - before * down) * stride + (_AROUND - before * across) * channels
    centers, fractions = np.arange(width) + 0.5, np.empty(width, np.float32)
    columns, rows = np.empty(width, np.int32), np.empty(width, np.int32)
    right, below = np.empty(size, np.float32), np.empty(size, np.float32)
    all_offsets = np.empty(width, np.uintp)
    gathered = np.zeros((count, count, size + _SLACK), np.uint8)
    for y in range(height):
        u, v = b * (y + 0.5), e * (y + 0.5)
        if b != 0.0 or y == 0:  # otherwise, they are the same in all lines
            _locate(centers, a, u, c, channels, columns, fractions)
            _spread(fractions, channels, right)
        first, end = _shown(0, width, a, u, c, width)
        first, end = _shown(first, end, d, v, f, height)
        begin, stop = first * channels, end * channels
        copy(fill[:begin], lines[y])
        copy(fill[stop:], lines[y, stop:])
        if first == end:
            continue
        _locate(centers, d, v, f, stride, rows, fractions)
        if down:
            _spread(fractions, channels, below)
        offsets, out = all_offsets[first:end], lines[y, begin:stop]
        _add(columns[first:end], rows[first:end], start, offsets)
        if across and down:
            distances = right[begin:stop], below[begin:stop]
            _to_both_sides(flat, offsets, stride, channels, gathered, *distances, out)
        else:
            step, own = (channels, right) if across else (stride, below)
            taps = _taps(flat, offsets, straight, step, channels, gathered[0])
            _to_levels(*taps, count, own[begin:stop], out)


_transform = compiled(_TRANSFORM, _transform_loop)
