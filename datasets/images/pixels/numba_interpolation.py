"""Compiled loops over pixels: Pillow's bilinear and bicubic affine transforms, bit-identical.

Importing this module imports Numba and compiles the loops, or loads them from Numba's cache: only
``operations`` does, when an image has to be interpolated.

Arithmetic follows Pillow's ``libImaging/Geometry.c``: double precision, in the same order. If a
transform moves pixels along one axis only, all fractions along the other are 0, and nothing is
interpolated there. The image is surrounded by copies of its outermost pixels, so that neighbors
always exist. For vector instructions, loops run over the bytes of a line, see ``numba_resizing``.
"""

import math

import numpy as np
from numba import float64, int32, intp, types, uint8, uintp
from PIL.Image import Resampling

from datasets.images.pixels.numba_resizing import WRITABLE, compiled, copy, gather, inner, lines_of

_TRANSFORM = types.void(WRITABLE, intp, *[float64] * 6, intp, types.Array(uint8, 1, "C"))

_TAPS = {Resampling.BILINEAR: 2, Resampling.BICUBIC: 4}  # pixels along each axis
_AROUND = 2  # copies of the outermost pixels on each side
_SLACK = 8  # bytes beyond the end of an array that may be read or written


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
def _shown(first, end, a, b, c, side):
    """Narrow a range of x to those whose positions are inside the image, which are contiguous."""
    while first < end and not 0.0 <= _place(first + 0.5, a, b, c) < side:
        first += 1
    while first < end and not 0.0 <= _place(end - 0.5, a, b, c) < side:
        end -= 1
    return first, end


@inner
def _offsets(first, a, b, c, d, e, f, start, stride, channels, out):
    """Compute the offsets of the first taps; return whether these are contiguous."""
    for x in range(uintp(len(out))):
        column = int32(math.floor(_place(first + x + 0.5, a, b, c) - 0.5))
        out[x] = start + column * channels
    if d == 0.0:
        out += uintp(int32(math.floor(e + f - 0.5)) * stride)
    else:
        for x in range(uintp(len(out))):
            row = int32(math.floor(_place(first + x + 0.5, d, e, f) - 0.5))
            out[x] += uintp(row * stride)
    straight = True
    for x in range(uintp(len(out))):
        straight &= out[x] == out[0] + x * uintp(channels)
    return straight


@inner
def _fractions(centers, a, b, c, out):
    """Compute the distance of each byte's position from the pixel before it."""
    for j in range(uintp(len(centers))):
        place = _place(centers[j], a, b, c) - 0.5
        out[j] = place - math.floor(place)


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
    v, w = float64(v), float64(w)
    return v + (w - v) * t


@inner
def _cubic(v1, v2, v3, v4, t):
    v1, v2, v3, v4 = float64(v1), float64(v2), float64(v3), float64(v4)
    p3, p4 = 2.0 * (v1 - v2) + v3 - v4, v2 - v1 - v3 + v4
    return v2 + t * (v3 - v1 + t * (p3 + t * p4))


@inner
def _gray(value):
    """Truncate to 0 … 255."""
    return uint8(min(max(int32(value), int32(0)), int32(255)))


@inner
def _to_values(a, b, c, d, count, fractions, out):
    """Interpolate between 2 or 4 lines."""
    if count == 2:
        for j in range(uintp(len(out))):
            out[j] = _linear(a[j], b[j], fractions[j])
    else:
        for j in range(uintp(len(out))):
            out[j] = _cubic(a[j], b[j], c[j], d[j], fractions[j])


@inner
def _to_levels(a, b, c, d, count, fractions, out):
    """Interpolate between 2 or 4 lines, truncated to 0 … 255."""
    if count == 2:
        for j in range(uintp(len(out))):
            out[j] = _gray(_linear(a[j], b[j], fractions[j]))
    else:
        for j in range(uintp(len(out))):
            out[j] = _gray(_cubic(a[j], b[j], c[j], d[j], fractions[j]))


@inner
def _to_both_sides(flat, offsets, straight, stride, channels, buffers, right, below, out):
    """Interpolate along each of 2 or 4 lines, then between these."""
    gathered, values = buffers
    count, size = len(values), uintp(len(out))
    for k in range(count):
        taps = _taps(flat[k * stride :], offsets, straight, channels, channels, gathered)
        _to_values(*taps, count, right, values[k][:size])
    _to_levels(values[0], values[1], values[count - 2], values[count - 1], count, below, out)


def _transform_loop(lines, channels, a, b, c, d, e, f, count, fill):
    height, size = lines.shape
    across = not (a == 1.0 and b == 0.0 and c == 0.0)
    down = not (d == 0.0 and e == 1.0 and f == 0.0)
    if not across and not down:
        return
    flat, stride = _surrounded(lines, channels)
    before = count // 2 - 1  # taps before a position
    start = (_AROUND - before * down) * stride + (_AROUND - before * across) * channels
    centers = np.array([j // channels + 0.5 for j in range(size)])
    all_offsets = np.empty(size // channels, np.uintp)
    gathered = np.zeros((count, size + _SLACK), np.uint8)
    right, below, values = np.empty(size), np.empty(size), np.empty((count, size))
    for y in range(height):
        u, v = b * (y + 0.5), e * (y + 0.5)
        first, end = _shown(0, size // channels, a, u, c, size // channels)
        first, end = _shown(first, end, d, v, f, height)
        begin, stop = first * channels, end * channels
        copy(fill[:begin], lines[y])
        copy(fill[stop:], lines[y, stop:])
        if first == end:
            continue
        target, own, offsets = lines[y, begin:stop], centers[begin:stop], all_offsets[first:end]
        straight = _offsets(first, a, u, c, d, v, f, start, stride, channels, offsets)
        if across:
            _fractions(own, a, u, c, right)
        if down:
            _fractions(own, d, v, f, below)
        where = flat, offsets, straight
        if across and down:
            buffers = gathered, values
            _to_both_sides(*where, stride, channels, buffers, right, below, target)
        else:
            step, fractions = (channels, right) if across else (stride, below)
            _to_levels(*_taps(*where, step, channels, gathered), count, fractions, target)


_transform = compiled(_TRANSFORM, _transform_loop)
