"""Readers of images, and of images that were kept."""

import io
import struct
import zlib
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from datasets.cache.disk import StoredImages, stored_images
from datasets.images.files import MAX_PIXELS, MAX_SIDE, load_image
from tests.hostile.file_harms import endless, made, no_files
from tests.hostile.mutators import BYTES, png, png_chunk
from tests.hostile.readers import Harm, Reader

_SIZE = (24, 20)  # width and height of the examples


def _image(mode: str = "RGB", size: tuple[int, int] = _SIZE) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def _saved(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _check_image(found: np.ndarray, valid: np.ndarray, folder: Path) -> None:
    """Pixels as a viewer has them; of what has a checksum, there are no other ones."""
    assert found.dtype == np.uint8 and found.ndim == 3 and found.shape[2] == 3
    assert 0 < found.size <= 3 * MAX_PIXELS and max(found.shape) <= MAX_SIDE


def _reader(suffix: str, content: bytes, mutators=BYTES, **more) -> Reader:
    file = f"a{suffix}"
    crafted = {
        **no_files(file),
        "no bytes": b"",
        "only zeros": bytes(5000),
        **more.pop("crafted", {}),
    }
    return Reader(
        lambda folder: (folder / file).write_bytes(content),
        (file,),
        lambda folder: load_image(folder / file),
        _check_image,
        mutators,
        crafted,
        **more,
    )


def _header(width: int, height: int, depth: int = 8, colour: int = 2) -> tuple[bytes, bytes]:
    return b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)


def _png(width: int, height: int, *more, depth: int = 8, colour: int = 2, data=None) -> bytes:
    channels = {0: 1, 2: 3, 6: 4}[colour]
    size = height * (1 + width * channels * depth // 8)
    rows = bytes(size) if data is None else data
    body = [_header(width, height, depth, colour), *more, (b"IDAT", zlib.compress(rows, 1))]
    return png([*body, (b"IEND", b"")])


_BOMB = zlib.compress(bytes(100_000_000))
_SMALL = bytes(20 * (1 + 3 * 24))
_PNGS = {
    "40,000 by 40,000": _png(40_000, 40_000, data=b"\0" * 100),
    "2**31 by 2**31": _png(2**31 - 1, 2**31 - 1, data=b""),
    "one row without end": _png(2**26, 1, data=b"\0" * 100),
    "a text that unpacks to 100 MB": _png(*_SIZE, (b"zTXt", b"a\0\0" + _BOMB), data=_SMALL),
    "an iTXt of 100 MB": _png(*_SIZE, (b"iTXt", b"a\0\1\0\0\0" + _BOMB), data=_SMALL),
    "200 texts": _png(
        *_SIZE, *[(b"zTXt", b"a\0\0" + zlib.compress(bytes(1_000_000)))] * 200, data=_SMALL
    ),
    "fewer pixels than it says": _png(5000, 5000, data=bytes(1000)),
}
_LARGE_PNGS: dict[str, Harm] = {
    "89 million pixels": lambda folder: _write(folder, "a.png", _png(9400, 9400)),
    "89 million of 16 bits": lambda f: _write(f, "a.png", _png(9400, 9400, depth=16, colour=0)),
    "89 million with alpha": lambda f: _write(f, "a.png", _png(9400, 9400, colour=6)),
    "89 million of 16 bits with alpha": lambda f: _write(
        f, "a.png", _png(9400, 9400, depth=16, colour=6)
    ),
    "a profile of 100 MB": _png(*_SIZE, (b"iCCP", b"a\0\0" + _BOMB), data=_SMALL),
    "an endless file": partial(endless, "a.png"),
}


def _write(folder: Path, file: str, content: bytes) -> None:
    (folder / file).write_bytes(content)


def _progressive(width: int, height: int, scans: int) -> bytes:
    """A progressive JPEG file whose last pass over the pixels stands there many times."""
    content = _saved(Image.new("L", (width, height)), "JPEG", progressive=True)
    last = content.rindex(b"\xff\xda")
    tables = content.rindex(b"\xff\xc4", 0, last)
    return content[:tables] + content[tables:-2] * scans + content[-2:]


def _resized_jpeg(width: int, height: int) -> bytes:
    content = bytearray(_saved(_image(), "JPEG"))
    at = content.index(b"\xff\xc0") + 5
    content[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(content)


def _gif(width: int, height: int, frames: int) -> bytes:
    images = [_image("P") for _ in range(frames)]
    content = bytearray(_saved(images[0], "GIF", save_all=True, append_images=images[1:]))
    content[6:10] = struct.pack("<HH", width, height)
    return bytes(content)


def _bmp(width: int, height: int, compression: int = 0, data: bytes = b"", bits: int = 8) -> bytes:
    palette = bytes(range(256)) * 4
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, 0, 0, 0, 256, 0)
    start = 14 + len(header) + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + header + palette + data


def _tiff(*tags: tuple[int, int, int, int], more: bytes = b"") -> bytes:
    """A TIFF file with these tags, each a tag, a type, a count and a value, and bytes behind."""
    rows = b"".join(struct.pack("<HHII", *tag) for tag in sorted(tags))
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + rows + struct.pack("<I", 8) + more


def _simple_tiff(width: int, height: int, *more, data: bytes = bytes(3000)) -> bytes:
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    tags += [(277, 3, 1, 1), (278, 4, 1, height), (279, 4, 1, len(data)), *more]
    return _tiff(*tags, (273, 4, 1, 8 + 2 + 12 * (len(tags) + 1) + 4), more=data)


def _tiled(side: int, compression: int) -> bytes:
    data = zlib.compress(bytes(10_000))
    tags = [(256, 4, 1, 16), (257, 4, 1, 16), (258, 3, 1, 8), (259, 3, 1, compression)]
    tags += [(262, 3, 1, 1), (277, 3, 1, 1), (322, 4, 1, side), (323, 4, 1, side)]
    tags += [(325, 4, 1, len(data))]
    return _tiff(*tags, (324, 4, 1, 8 + 2 + 12 * (len(tags) + 1) + 4), more=data)


_POSTSCRIPT = (
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 24 20\n%%EndComments\n"
    b"(/tmp/executed) (w) file closefile showpage\n%%EOF\n"
)

_JPEGS = {
    "65,535 by 65,535": _resized_jpeg(65_535, 65_535),
    "PostScript, which is a program": _POSTSCRIPT,
    "a web page": b"<html><body>404 Not Found</body></html>",
    "an empty height": _resized_jpeg(24, 0),
}
_UNUSUAL = {
    "a PNG": _saved(_image(), "PNG"),
    "an animated GIF": _saved(_image("P"), "GIF", save_all=True, append_images=[_image("P")] * 5),
    "a WebP": _saved(_image(), "WEBP"),
    "an animated WebP": _saved(_image(), "WEBP", save_all=True, append_images=[_image("RGB")] * 3),
    "CMYK": _saved(_image("CMYK"), "JPEG"),
    "gray": _saved(_image("L"), "JPEG"),
    "progressive": _saved(_image(), "JPEG", progressive=True),
    "16 bits": _saved(Image.fromarray(np.arange(480, dtype=np.uint16).reshape(20, 24)), "PNG"),
    "one bit": _saved(_image("1"), "PNG"),
    "floats": _saved(_image("F"), "TIFF"),
    "Lab": _saved(Image.new("LAB", _SIZE), "TIFF"),
    "CMYK in TIFF": _saved(_image("CMYK"), "TIFF"),
    "three pages": _saved(_image(), "TIFF", save_all=True, append_images=[_image()] * 2),
}


def _write_kept(folder: Path) -> None:
    images = [np.asarray(_image(size=(4 + i, 3))) for i in range(3)]
    path = folder / "image.txt"
    path.write_text("stands for the image files")
    stored_images(folder, "x", images, [path] * 3, np.arange(3), 1, 1)
    (written,) = folder.glob("*.images")
    written.rename(folder / "kept.images")
    for rest in folder.glob("*.lock"):
        rest.unlink()


def _read_kept(folder: Path) -> list[np.ndarray]:
    from utils import UserError

    try:
        images = StoredImages(folder / "kept.images", np.arange(3), 3)
    except (OSError, ValueError) as error:  # the file is made again then
        raise UserError(f"{folder} is made again: {error}") from error
    return [np.array(images[i]) for i in range(len(images))]


def _check_kept(found: list[np.ndarray], valid: list[np.ndarray], folder: Path) -> None:
    """They have checksums."""
    assert len(found) == 3
    for one, other in zip(found, valid, strict=True):
        np.testing.assert_array_equal(one, other)


READERS = {
    "JPEG": _reader(
        ".jpg",
        _saved(_image(), "JPEG"),
        crafted=_JPEGS,
        harmless=_UNUSUAL,
        large={
            "1,000 passes over 20 million": lambda f: _write(
                f, "a.jpg", _progressive(5000, 4000, 1000)
            ),
            "60 passes over 20 million": lambda f: _write(f, "a.jpg", _progressive(5000, 4000, 60)),
            "89 million pixels": lambda f: _write(
                f, "a.jpg", _saved(Image.new("RGB", (9400, 9400)), "JPEG", progressive=True)
            ),
            "an endless file": partial(endless, "a.jpg"),
        },
    ),
    "progressive JPEG": _reader(".jpg", _saved(_image(), "JPEG", progressive=True)),
    "CMYK JPEG": _reader(".jpg", _saved(_image("CMYK"), "JPEG")),
    "PNG": _reader(
        ".png",
        _saved(_image(), "PNG"),
        (*BYTES, *[png_chunk] * 10),
        crafted=_PNGS,
        large=_LARGE_PNGS,
    ),
    "PNG with a palette": _reader(
        ".png", _saved(_image("P"), "PNG", transparency=0), (*BYTES, *[png_chunk] * 10)
    ),
    "GIF": _reader(
        ".gif",
        _gif(*_SIZE, 3),
        crafted={"a screen of 65,535": _gif(65_535, 65_535, 2)},
        large={"3,000 frames": lambda folder: _write(folder, "a.gif", _gif(*_SIZE, 3000))},
    ),
    "BMP": _reader(
        ".bmp",
        _saved(_image(), "BMP"),
        crafted={
            "40,000 by 40,000": _bmp(40_000, 40_000),
            "one row without end, run-length encoded": _bmp(
                89_000_000, 1, 1, b"\0\2\xff\xff" * 100
            ),
            "line ends without end": _bmp(9_000, 9_000, 1, b"\0\0" * 10_000),
            "2**31 - 1 wide": _bmp(2**31 - 1, 1),
        },
    ),
    "run-length encoded BMP": _reader(".bmp", _bmp(24, 20, 1, b"\x18\7\0\0" * 20)),
    "TIFF": _reader(
        ".tif",
        _saved(_image(), "TIFF"),
        crafted={
            "40,000 by 40,000": _simple_tiff(40_000, 40_000),
            "tiles of 65,536": _tiled(65_536, 8),
            "tiles of 2**31 - 1": _tiled(2**31 - 1, 8),
        },
        harmless={
            "a page that follows itself": _simple_tiff(24, 20),
            "a tag of 4 GB": _simple_tiff(24, 20, (700, 1, 2**32 - 1, 8)),
        },
    ),
    "compressed TIFF": _reader(".tif", _saved(_image(), "TIFF", compression="tiff_adobe_deflate")),
    "WebP": _reader(".webp", _saved(_image(), "WEBP")),
    "lossless WebP": _reader(".webp", _saved(_image("RGBA"), "WEBP", lossless=True)),
    "PPM": _reader(
        ".ppm",
        _saved(_image(), "PPM"),
        crafted={"40,000 by 40,000": b"P6 40000 40000 255\n" + bytes(100)},
        large={
            "text of 20 million pixels": made(
                "a.ppm", lambda: b"P2 5000 4000 255\n" + b"1 " * 20_000_000
            )
        },
    ),
    "JPEG 2000": _reader(".jp2", _saved(_image(), "JPEG2000")),
    "AVIF": _reader(".avif", _saved(_image(), "AVIF")),
    "kept images": Reader(
        _write_kept,
        ("kept.images",),
        _read_kept,
        _check_kept,
        crafted=no_files("kept.images"),
    ),
}
