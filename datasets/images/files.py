"""Read image files as arrays of what a viewer would see."""

import contextlib
import ctypes
import io
import re
import threading
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import Image, UnidentifiedImageError, _imaging

from datasets.images.bands import BYTES, bands_size, decode_bands, has_bands, tiff_reader
from storage.rehearsal import rehearse
from utils import UserError, one_line, open_regular, read_bytes

IMAGE_SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .png .bmp .gif .tif .tiff .webp .ppm .pgm .pbm .pnm .jp2 .j2k "
    ".avif".split()
)
MAX_PIXELS = Image.MAX_IMAGE_PIXELS  # about 89 million; larger files are considered attacks
MAX_SIDE = 2**16  # pixels, more than JPEG has

# Pillow reads some forty formats, one of them by running another program.
_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF")
# Pillow takes up to 32 bytes for each pixel of WebP.
_MOST_PIXELS = {"WEBP": 2**25}
_LARGE_FILE = 2**25  # bytes; larger files are rehearsed
# Parts of metadata, which Pillow joins in quadratic time:
# https://github.com/python-pillow/Pillow/pull/7496
_EXIF, _MOST_EXIF = b"Exif\0\0", 100
_LARGEST = 2**30  # bytes; the largest image has 0.7 GB in four channels of 16 bits
_MAX_SCANS = 16 * MAX_PIXELS  # pixels of a JPEG file times the number of passes over them
_SLOW = ("bmp_rle", "ppm_plain")  # decoders that Pillow has in Python
_MAX_SLOW = 4_000_000  # pixels that they may read
_LARGE = 2**24  # pixels; larger images are decoded one at a time
_LARGE_IMAGE = threading.Lock()
_STRIP = 2**22  # pixels that are blended with white at a time

_ORIENTATION = 0x0112  # EXIF tag
_TILE_SIZES = 322, 323  # TIFF tags
_BITS, _ZERO_IS = 258, 262  # likewise
_SCAN = b"\xff\xda"  # start of a scan (pass over the pixels) in a JPEG file
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_WITH_ALPHA = frozenset(("RGBA", "LA", "PA", "RGBa", "La"))
_MAYBE_TRANSPARENT = frozenset(("1", "L", "P", "RGB"))  # if one color is declared transparent
# simplejpeg's name of the color space, by mode of the file and requested number of channels.
_COLORS = {("RGB", 3): "RGB", ("L", 3): "RGB", ("L", 1): "GRAY"}
_SIXTEEN_BIT = frozenset(("I", "I;16", "I;16L", "I;16B", "I;16N"))
_EIGHT_BIT = np.round(np.arange(2**16) / 257).astype(np.uint8)
_WHITE = 2**16 - 1

# Ignore Pillow's warnings about odd metadata; make the one about gigantic images an error.
_FILTERS = (("ignore", UserWarning, r"PIL\."), ("error", Image.DecompressionBombWarning, ""))


# libtiff prints its errors (see TIFFError(3TIFF)), although Pillow raises them, too. They remain if
# Pillow's libtiff cannot be accessed.
with contextlib.suppress(OSError, AttributeError):
    ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler(None)


class FileImages(Sequence):
    """Image files that are read on access, see ``load_image``."""

    def __init__(self, paths: Sequence[str | Path], channels: int = 3):
        self.paths = tuple(paths)
        self.channels = channels
        if has_bands(channels):
            tiff_reader()  # report now if it is missing

    @property
    def bytes_per_pixel(self) -> int:
        return self.channels * (BYTES if has_bands(self.channels) else 1)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> np.ndarray:
        return load_image(self.paths[index], self.channels)


class EncodedImages(Sequence):
    """Encoded image files in memory, decoded on access like those of ``FileImages``.

    Args:
        contents: content of each file.
        names: name of each file in messages.

    Attributes:
        channels: 3 for RGB, 1 for gray, or the number of bands.
    """

    def __init__(self, contents: Sequence[bytes], names: Sequence[str]):
        self.contents = contents
        self.names = names
        self.channels = 3

    def __len__(self) -> int:
        return len(self.contents)

    def __getitem__(self, index: int) -> np.ndarray:
        content = self.contents[index]
        with _explained(self.names[index]):
            if len(content) > _LARGE_FILE:
                raise ValueError(f"it has more than {_LARGE_FILE:,} bytes")
            return _decoded(content, self.channels)


def load_image(path: str | Path, channels: int = 3) -> np.ndarray:
    """Read an image file.

    Whatever the file's color mode, the result is what a viewer would show: rotated by the EXIF
    orientation, transparent parts on white, the first frame of an animation.

    Args:
        path: JPEG, PNG, BMP, GIF, TIFF, WebP, PPM, JPEG 2000 or AVIF file with any suffix.
        channels: 3 for RGB, 1 for gray, or the number of bands, which must be in a TIFF file.

    Returns:
        uint8 (height, width, channels), values 0 to 255; bands are uint16 and unchanged.

    Raises:
        UserError: the file is missing, damaged, truncated, not an image, or too large.
    """
    with _explained(path):
        content = read_bytes(path, _LARGEST)
        if len(content) > _LARGE_FILE:
            rehearse(load_image, path, channels)
        return _decoded(content, channels)


@contextlib.contextmanager
def _explained(name: str | Path) -> Iterator[None]:
    """Turn all errors in reading an image into UserErrors."""
    try:
        yield
    except UnidentifiedImageError as error:
        raise UserError(f"cannot read {name}: it is not an image or is damaged") from error
    except UserError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UserError(f"cannot read {name}: more than {MAX_PIXELS:,} pixels") from error
    except FileNotFoundError as error:
        raise UserError(f"cannot read {name}: there is no such file") from error
    except Exception as error:  # Pillow's decoders raise almost anything
        if isinstance(error, OSError) and error.strerror:
            raise UserError(f"cannot read {name}: {error.strerror}") from error
        raise UserError(f"cannot read {name}: {one_line(error)}") from error


def _decoded(content: bytes, channels: int) -> np.ndarray:
    if has_bands(channels):
        return decode_bands(content, channels)
    _set_warning_filters()
    if content.count(_EXIF) > _MOST_EXIF:
        raise ValueError("it has far too many parts of metadata")
    with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
        _check_size(image)
        _check_levels(image)
        _check_work(image, content)
        # Many threads read images; each of the largest takes more than a gigabyte.
        with _LARGE_IMAGE if image.width * image.height > _LARGE else contextlib.nullcontext():
            pixels = _plain_jpeg(content, image, channels)
            return _any_image(image, channels) if pixels is None else pixels


def image_size(path: str | Path, channels: int = 3) -> tuple[int, int]:
    """Return width and height of an image file, reading only its beginning.

    Raises:
        Exception: it is not an image, or is damaged; Pillow raises almost anything.
    """
    if has_bands(channels):
        with open_regular(path) as file:
            return bands_size(file, channels)
    _set_warning_filters()
    with open_regular(path) as file, Image.open(file, formats=_FORMATS) as image:
        _check_size(image)
        return image.size


def _check_size(image: Image.Image) -> None:
    most = _MOST_PIXELS.get(image.format, MAX_PIXELS)
    if image.width * image.height > most:
        raise ValueError(f"more than {most:,} pixels")
    if max(image.size) > MAX_SIDE:
        raise ValueError(f"it is {image.width}x{image.height} pixels, too long and narrow")


def _check_levels(image: Image.Image) -> None:
    """Refuse pixels whose values for black and white are unknown."""
    if image.mode == "F" or (image.mode == "I" and image.format == "TIFF"):
        kind = "floating-point" if image.mode == "F" else "signed or 32-bit"
        raise ValueError(f"its pixels are {kind} numbers; convert it to 8 or 16 bits")


def _check_work(image: Image.Image, content: bytes) -> None:
    """Refuse small files that would keep a decoder busy for minutes."""
    pixels = image.width * image.height
    if image.format in ("JPEG", "MPO") and content.count(_SCAN) * pixels > _MAX_SCANS:
        raise ValueError("it goes over its pixels far too often")
    if pixels > _MAX_SLOW and image.tile and image.tile[0][0] in _SLOW:
        raise ValueError(f"in its encoding, at most {_MAX_SLOW:,} pixels are read")
    if image.format == "TIFF":
        width, height = (image.tag_v2.get(tag) or 0 for tag in _TILE_SIZES)
        if width * height > MAX_PIXELS:
            raise ValueError(f"tiles of more than {MAX_PIXELS:,} pixels")


def _plain_jpeg(content: bytes, header: Image.Image, channels: int) -> np.ndarray | None:
    """Decode a JPEG file to Pillow's pixels in half the time, as Pillow copies them more often.

    Returns None for images that are not stored upright, need a color conversion, or are slightly
    damaged: Pillow knows which of these can be shown.
    """
    colors = _COLORS.get((header.mode, channels))
    if header.format != "JPEG" or _orientation(header) in _UPRIGHT or colors is None:
        return None
    try:
        return simplejpeg.decode_jpeg(content, colors, strict=True)
    except ValueError:
        return None


def _any_image(image: Image.Image, channels: int) -> np.ndarray:
    image.load()
    shown = _rgb(image)
    if (orientation := _orientation(image)) in _UPRIGHT:
        shown = shown.transpose(_UPRIGHT[orientation])
    if channels == 1:
        return np.array(shown.convert("L"))[:, :, np.newaxis]
    return np.array(shown)


def _set_warning_filters() -> None:
    """Set the filters of Pillow's warnings for the whole process.

    ``warnings.catch_warnings`` is not thread-safe. The filters are checked for each image because
    others (e.g. test runners) restore the previous list.
    """
    for action, category, module in _FILTERS:
        pattern = re.compile(module) if module else None
        if (action, None, category, pattern, 0) not in warnings.filters:
            warnings.filterwarnings(action, category=category, module=module)


def _rgb(image: Image.Image) -> Image.Image:
    """Convert to RGB as a viewer does, ignoring the orientation."""
    if image.mode in _SIXTEEN_BIT:
        return Image.fromarray(_EIGHT_BIT[_sixteen_bits(image)]).convert("RGB")
    transparent = image.mode in _MAYBE_TRANSPARENT and "transparency" in image.info
    if image.mode in _WITH_ALPHA or transparent:
        return _on_white(image)
    return image.convert("RGB")


def _sixteen_bits(image: Image.Image) -> np.ndarray:
    """Return gray levels between 0 and ``_WHITE``.

    Pillow 13 does not scale 12-bit values, and does not invert 16-bit TIFF files in which white is
    zero; no issue is known.
    """
    values = np.clip(np.asarray(image), 0, _WHITE)
    if image.format != "TIFF":
        return values
    if image.tag_v2.get(_BITS) == (12,):
        values = values.astype(np.int64) * _WHITE // (2**12 - 1)
    return _WHITE - values if image.tag_v2.get(_ZERO_IS) == 0 else values


def _on_white(image: Image.Image) -> Image.Image:
    """Blend the image with white, in strips: the entire image may take gigabytes."""
    shown = Image.new("RGB", image.size)
    rows = max(1, _STRIP // image.width)
    for top in range(0, image.height, rows):
        part = (0, top, image.width, min(top + rows, image.height))
        layer = image.crop(part).convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        shown.paste(Image.alpha_composite(white, layer).convert("RGB"), part)
    return shown


def _orientation(image: Image.Image) -> int | None:
    try:
        return image.getexif().get(_ORIENTATION)
    except Exception:  # damaged metadata must not exclude a good image
        return None
