"""Readers of images, and of images in the cache."""

import importlib.util
import io
import struct
from pathlib import Path

import numpy as np
from PIL import Image

from datasets.cache.disk import StoredImages, stored_images
from datasets.images.files import MAX_PIXELS, MAX_SIDE, load_image
from tests.fake_data import write_bands
from tests.hostile.reader import Reader
from utils import UserError

SIZE = (24, 20)  # width and height


def image(mode: str = "RGB", size: tuple[int, int] = SIZE) -> Image.Image:
    """Return a random image."""
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def saved(image: Image.Image, kind: str, **options) -> bytes:
    """Return the file of an image in a format of Pillow."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _check_image(found: np.ndarray, valid: np.ndarray, folder: Path) -> None:
    assert found.dtype == np.uint8 and found.ndim == 3 and found.shape[2] == 3
    assert 0 < found.size <= 3 * MAX_PIXELS and max(found.shape) <= MAX_SIDE


def _reader(content: bytes) -> Reader:
    return Reader(
        lambda folder: (folder / "a.image").write_bytes(content),
        ("a.image",),
        lambda folder: load_image(folder / "a.image"),
        _check_image,
    )


def _check_bands(found: np.ndarray, valid: np.ndarray, folder: Path) -> None:
    assert found.dtype == np.uint16 and found.ndim == 3 and found.shape[2] == 13
    assert 0 < found.nbytes <= 2**28


_BANDS = Reader(
    lambda folder: write_bands(folder / "a.tif", size=(6, 5)),
    ("a.tif",),
    lambda folder: load_image(folder / "a.tif", 13),
    _check_bands,
)


def _run_length_encoded_bmp() -> bytes:
    palette, data = bytes(range(256)) * 4, b"\x18\7\0\0" * SIZE[1]
    header = struct.pack("<IiiHHIIiiII", 40, *SIZE, 1, 8, 1, 0, 0, 0, 256, 0)
    start = 14 + len(header) + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + header + palette + data


def _write_cache(folder: Path) -> None:
    images = [np.asarray(image(size=(4 + i, 3))) for i in range(3)]
    source = folder / "image.txt"
    source.write_text("the image files")
    stored_images(folder, "x", images, [source] * 3, np.arange(3), lambda: 1, 1)
    (written,) = folder.glob("*.images")
    written.rename(folder / "kept.images")


def _read_cache(folder: Path) -> list[np.ndarray]:
    try:
        images = StoredImages(folder / "kept.images", np.arange(3), 3)
    except (OSError, ValueError) as error:  # the file is made again then
        raise UserError(f"{folder} is made again: {error}") from error
    return [np.array(images[i]) for i in range(len(images))]


def _check_cache(found: list[np.ndarray], valid: list[np.ndarray], folder: Path) -> None:
    """The file has checksums."""
    for one, other in zip(found, valid, strict=True):
        np.testing.assert_array_equal(one, other)


_FRAMES = [image("P")] * 2
FORMATS = {
    "JPEG": saved(image(), "JPEG"),
    "progressive JPEG": saved(image(), "JPEG", progressive=True),
    "CMYK JPEG": saved(image("CMYK"), "JPEG"),
    "PNG": saved(image(), "PNG"),
    "PNG with a palette": saved(image("P"), "PNG", transparency=0),
    "GIF": saved(image("P"), "GIF", save_all=True, append_images=_FRAMES),
    "BMP": saved(image(), "BMP"),
    "run-length encoded BMP": _run_length_encoded_bmp(),
    "TIFF": saved(image(), "TIFF"),
    "compressed TIFF": saved(image(), "TIFF", compression="tiff_adobe_deflate"),
    "WebP": saved(image(), "WEBP"),
    "lossless WebP": saved(image("RGBA"), "WEBP", lossless=True),
    "PPM": saved(image(), "PPM"),
    "JPEG 2000": saved(image(), "JPEG2000"),
    "AVIF": saved(image(), "AVIF"),
}

READERS = {
    **{name: _reader(content) for name, content in FORMATS.items()},
    **({"TIFF of 13 bands": _BANDS} if importlib.util.find_spec("tifffile") else {}),
    "cached images": Reader(_write_cache, ("kept.images",), _read_cache, _check_cache),
}
