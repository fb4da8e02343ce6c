"""Compiled loops over pixels: Pillow's bilinear resizing of a region, and mirroring.

Importing this module imports Numba and compiles the loops, or loads them from Numba's cache, which
takes a second: only ``resizing`` does, when an image has to be resized or mirrored.

Arithmetic follows Pillow's ``libImaging/Resample.c``: weights in double precision, rounded to
multiples of 2**-22, sums in 32-bit integers, and values rounded after the horizontal step, which
comes first. LLVM turns the innermost loops into vector instructions. For that, indices are unsigned
(or Numba would check whether they are negative) and pixels are spread out first, so that the
summands of each output byte are at the same index as the byte itself.
"""

import math
from pathlib import Path

import numpy as np
from numba import config, int32, intp, njit, types, uint8, uintp

from storage.own_folder import own_folder, user_cache

if config.DISABLE_JIT:
    raise ImportError("NUMBA_DISABLE_JIT is set")

_BITS = 22  # Pillow's PRECISION_BITS for 8-bit images
_SHIFT = int32(_BITS)
_HALF = int32(1 << (_BITS - 1))
_SLACK = 8  # bytes beyond the end of a row that may be read or written
_ONE, _TWO, _THREE = uintp(1), uintp(2), uintp(3)

# Types that the loops accept; fixed, so that they are compiled here and never again.
READ_ONLY = types.Array(uint8, 2, "C", readonly=True)
WRITABLE = types.Array(uint8, 2, "C")
_RESAMPLE = types.void(READ_ONLY, *[intp] * 7, types.boolean, WRITABLE)
_MIRROR = types.void(READ_ONLY, intp, intp, intp, WRITABLE)

# For functions that only loops call; this makes compilation a little faster.
inner = njit(error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)


def resize_region(
    image: np.ndarray,
    shape: tuple[int, int],
    region: tuple[int, int, int, int],
    mirrored: bool,
    out: np.ndarray,
) -> None:
    """Write a region of the resized image to ``out``, see ``resizing.resize_region``.

    Raises:
        ValueError: the region is not inside the image, or ``out`` has another shape.
    """
    top, left, _, _ = region
    channels = image.shape[2]
    _check((*shape, channels), region, out)
    sizes = (*image.shape[:2], *shape, top, left)
    _resample(lines_of(image), channels, *sizes, mirrored, lines_of(out))


def mirror_region(image: np.ndarray, region: tuple[int, int, int, int], out: np.ndarray) -> None:
    """Write a region (top, left, rows, columns) of the mirrored image to ``out``, contiguous.

    Raises:
        ValueError: the region is not within the image, or ``out`` has another shape.
    """
    top, left, _, _ = region
    _check(image.shape, region, out)
    _mirror(lines_of(image), image.shape[2], top, left, lines_of(out))


def _check(shape: tuple[int, ...], region: tuple[int, int, int, int], out: np.ndarray) -> None:
    """Check the indices, since the loops do not."""
    height, width, channels = shape
    top, left, rows, columns = region
    within = 0 <= top <= height - rows and 0 <= left <= width - columns and min(rows, columns) > 0
    if not within or out.shape != (rows, columns, channels) or not out.flags.c_contiguous:
        raise ValueError(f"cannot write {region} of {shape} to an array of shape {out.shape}")


def lines_of(image: np.ndarray) -> np.ndarray:
    """Return the rows as bytes: a view, or a copy if the image is not contiguous."""
    return np.ascontiguousarray(image).reshape(len(image), -1)


@inner
def _weights(old, new, start, count):
    """Return first tap, int64 (count,), and weights of the output pixels from ``start`` on.

    The weights are int32 (count, taps); the number of taps is even.
    """
    scale = old / new
    stretch = max(scale, 1.0)
    support = 1.0 * stretch
    most = math.ceil(support) * 2 + 2
    first = np.empty(count, np.intp)
    weights = np.zeros((count, most), np.int32)
    real = np.empty(most)
    taps = 2
    for i in range(count):
        center = (start + i + 0.5) * scale
        low = max(0, int(center - support + 0.5))
        high = min(old, int(center + support + 0.5))
        total = 0.0
        for k in range(high - low):
            distance = abs((k + low - center + 0.5) * (1.0 / stretch))
            real[k] = 1.0 - distance if distance < 1.0 else 0.0
            total += real[k]
        for k in range(high - low):
            share = real[k] / total if total != 0.0 else real[k]
            weights[i, k] = int(0.5 + share * (1 << _BITS))
        first[i] = low
        taps = max(taps, high - low)
    return first, weights[:, : taps + taps % 2]


@inner
def _per_byte(first, weights, channels):
    """Compute the first byte of each pixel and the weights (taps, bytes) of each output byte."""
    columns, taps = weights.shape
    offsets = np.empty(columns, np.uintp)
    byte_weights = np.empty((taps, columns * channels), np.int32)
    for x in range(columns):
        offsets[x] = first[x] * channels
        for k in range(taps):
            for c in range(channels):
                byte_weights[k, x * channels + c] = weights[x, k]
    return offsets, byte_weights


@inner
def _mix(a, b, v, w):
    return int32(int32(int32(a) * v) + int32(int32(b) * w))


@inner
def _gray(total):
    """Round a sum to 0 … 255, which none exceeds: the sum of weights is barely more than 1."""
    return uint8(int32(total + _HALF) >> _SHIFT)


@inner
def copy(source, target):
    for j in range(uintp(len(source))):
        target[j] = source[j]


@inner
def as_level(value):
    """Truncate to 0 … 255."""
    return uint8(min(max(int32(value), int32(0)), int32(255)))


@inner
def gather(line, offsets, channels, out):
    """Gather the pixels at the given offsets; bytes after the last one are arbitrary."""
    j = uintp(0)
    for x in range(uintp(len(offsets))):
        o = offsets[x]
        a, b, c, d = line[o], line[o + _ONE], line[o + _TWO], line[o + _THREE]
        out[j], out[j + _ONE], out[j + _TWO], out[j + _THREE] = a, b, c, d
        j += channels


@inner
def _horizontal(line, offsets, channels, weights, spread, sums, out):
    """Resize one line to ``len(weights[0])`` bytes."""
    taps, size = weights.shape
    for k in range(0, taps, 2):
        gather(line[k * channels :], offsets, uintp(channels), spread[0])
        gather(line[(k + 1) * channels :], offsets, uintp(channels), spread[1])
        a, b, v, w = spread[0], spread[1], weights[k], weights[k + 1]
        if taps == 2:
            for j in range(uintp(size)):
                out[j] = _gray(_mix(a[j], b[j], v[j], w[j]))
            return
        for j in range(uintp(size)):
            sums[j] = int32((sums[j] if k else int32(0)) + _mix(a[j], b[j], v[j], w[j]))
    for j in range(uintp(size)):
        out[j] = _gray(sums[j])


@inner
def _vertical(ring, first, weights, sums, out):
    """Combine lines ``first``, ``first + 1``, … of the ring buffer into one output line."""
    taps, size = len(weights), len(out)
    for k in range(0, taps, 2):
        a, b = ring[(first + k) % len(ring)], ring[(first + k + 1) % len(ring)]
        v, w = weights[k], weights[k + 1]
        if taps == 2:
            for j in range(uintp(size)):
                out[j] = _gray(_mix(a[j], b[j], v, w))
            return
        for j in range(uintp(size)):
            sums[j] = int32((sums[j] if k else int32(0)) + _mix(a[j], b[j], v, w))
    for j in range(uintp(size)):
        out[j] = _gray(sums[j])


def _resample_region(
    lines, channels, height, width, new_height, new_width, top, left, mirrored, out
):
    """Resample, keeping only the horizontally resized lines that one output line needs."""
    rows, size = out.shape
    columns = size // channels
    first, row_weights = _weights(height, new_height, top, rows)
    starts, column_weights = _weights(width, new_width, left, columns)
    if mirrored:
        starts, column_weights = starts[::-1], column_weights[::-1]
    offsets, byte_weights = _per_byte(starts, column_weights, channels)
    # Taps beyond the border have weight 0, but are read.
    line = np.zeros(lines.shape[1] + len(byte_weights) * channels + _SLACK, np.uint8)
    spread = np.empty((2, size + _SLACK), np.uint8)
    sums = np.empty(size, np.int32)
    ring = np.zeros((row_weights.shape[1], size), np.uint8)
    done = 0
    for y in range(rows):
        done = max(done, first[y])
        for row in range(done, min(height, first[y] + len(ring))):
            copy(lines[row], line)
            target = ring[row % len(ring)]
            _horizontal(line, offsets, channels, byte_weights, spread, sums, target)
            done = row + 1
        _vertical(ring, first[y], row_weights[y], sums, out[y])


def _mirror_region(lines, channels, top, left, out):
    rows, size = out.shape
    start = left * channels
    offsets = np.arange(size - channels, -1, -channels).astype(np.uintp)
    line = np.zeros(size + _SLACK, np.uint8)
    spread = np.empty(size + _SLACK, np.uint8)
    for y in range(rows):
        copy(lines[top + y, start : start + size], line)
        gather(line, offsets, uintp(channels), spread)
        copy(spread[:size], out[y])


def compiled(signature, function):
    """Compile a function; cache it in a file if there is a folder for that."""
    options = {"nogil": True, "error_model": "numpy"}
    try:
        config.CACHE_DIR = str(_own_folder())
        return njit(signature, cache=True, **options)(function)
    except (OSError, RuntimeError):  # nowhere to write, or the file is damaged
        return njit(signature, **options)(function)


def _own_folder() -> Path:
    """Return the folder of Numba's cache, where no other user may write, since it contains code.

    Raises:
        OSError, RuntimeError: there is no such folder.
    """
    return own_folder(Path(config.CACHE_DIR or user_cache() / "numba"))


_resample = compiled(_RESAMPLE, _resample_region)
_mirror = compiled(_MIRROR, _mirror_region)
