"""Multispectral images, as from satellites: TIFF files with a 16-bit number for each band.

Pillow cannot read them, but the package tifffile can.
"""

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from types import ModuleType
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from utils import UserError

if TYPE_CHECKING:
    from tifffile import TiffPage

BYTES = 2  # per value

_PLAIN, _DEFLATE = (1,), (8, 32946)  # TIFF's numbers of compressions
_BAND_BY_BAND = 2  # one of TIFF's planar configurations
_LARGEST = 2**28  # bytes of an image
_MOST_DEFLATED = 2**18  # bytes of a compressed file: deflate makes zeros a thousandth


def has_bands(channels: int) -> bool:
    """Return whether images are multispectral, neither gray nor RGB."""
    return channels not in (1, 3)


def tiff_reader() -> ModuleType:
    """Return the package tifffile.

    Raises:
        UserError: it is not installed.
    """
    try:
        import tifffile
    except ImportError as error:
        raise UserError(
            "images of many bands need the package tifffile: pip install -r requirements-bands.txt"
        ) from error
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # it also raises what matters
    return tifffile


def decode_bands(content: bytes, bands: int) -> np.ndarray:
    """Return the first image of a TIFF file, uint16 (height, width, bands).

    Raises:
        Exception: it is damaged or has another number of bands; tifffile raises almost anything.
    """
    with _first_page(BytesIO(content)) as page:
        _check(page, bands)
        _check_segments(page, len(content))
        pixels = page.asarray(maxworkers=1)
        if page.planarconfig == _BAND_BY_BAND:
            pixels = pixels.transpose(1, 2, 0)
        return np.ascontiguousarray(pixels, np.uint16)


def bands_size(file: BinaryIO, bands: int) -> tuple[int, int]:
    """Return width and height of the first image of a TIFF file, reading only its header.

    Raises:
        Exception: see ``decode_bands``.
    """
    with _first_page(file) as page:
        _check(page, bands)
        return page.imagewidth, page.imagelength


@contextmanager
def _first_page(file: BinaryIO) -> Iterator["TiffPage"]:
    with tiff_reader().TiffFile(file) as tiff:
        yield tiff.pages[0]


def _check(page: "TiffPage", bands: int) -> None:
    """Refuse images of another kind, and those that take too much memory."""
    count, kind = page.samplesperpixel, page.dtype
    if count != bands or kind != np.uint16:
        raise ValueError(f"it has {count} bands of {kind}, not {bands} of uint16")
    if page.compression not in _PLAIN + _DEFLATE:
        raise ValueError(f"it is compressed by {page.compression.name}, not by deflate")
    width, height = page.imagewidth, page.imagelength
    if min(width, height) < 1 or page.imagedepth != 1:
        raise ValueError(f"it has {width}x{height}x{page.imagedepth} pixels")
    if width * height * bands * BYTES > _LARGEST:
        raise ValueError(f"more than {_LARGEST:,} bytes of pixels")


def _check_segments(page: "TiffPage", size: int) -> None:
    """Refuse images with parts missing in the file, which tifffile would read as zeros."""
    parts = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    whole = len(parts) == math.prod(page.chunked)
    if not whole or any(count < 1 or start + count > size for start, count in parts):
        raise ValueError("parts of its pixels are missing")
    if page.compression in _DEFLATE and size > _MOST_DEFLATED:
        raise ValueError(f"it is compressed and has more than {_MOST_DEFLATED:,} bytes")
