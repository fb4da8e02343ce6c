"""Headers are read as Pillow reads them, or left to Pillow."""

import io

import numpy as np
import pytest
from PIL import Image

from datasets.images.jpeg_header import ordinary_shape
from tests.datasets.images.test_files import JPEGS, by_pillow, by_project

# Adobe's segment tells CMYK and RGB from their like; EXIF may turn the image.
UNUSUAL = {"cmyk", "rgb", "upright", "turned"}


@pytest.mark.parametrize("kind", JPEGS)
def test_ordinary_headers_are_read(kind):
    with Image.open(io.BytesIO(JPEGS[kind])) as image:
        expected = (image.height, image.width, len(image.getbands()))
    assert ordinary_shape(JPEGS[kind]) == (None if kind in UNUSUAL else expected)


def segment(marker, content):
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content


FRAME = b"\x08\x00\x02\x00\x03\x01" + b"\x01\x11\x00"
SCAN = segment(0xDA, b"\x01\x01\x00\x00\x3f\x00")


@pytest.mark.parametrize(
    ("segments", "expected"),
    [
        ([segment(0xC0, FRAME)], (2, 3, 1)),
        ([segment(0xC2, FRAME)], (2, 3, 1)),
        ([segment(0xFE, b"a comment"), segment(0xC0, FRAME)], (2, 3, 1)),
        ([segment(0xDB, bytes(65)), segment(0xC4, b"any"), segment(0xC0, FRAME)], (2, 3, 1)),
        ([], None),
        ([segment(0xC9, FRAME)], None),  # arithmetic coding
        ([segment(0xC0, b"\x0c" + FRAME[1:])], None),  # twelve bits
        ([segment(0xC0, FRAME), segment(0xC0, FRAME)], None),
        ([segment(0xC0, FRAME + b"\x02")], None),
        ([segment(0xC0, FRAME[:3] + b"\x00\x00" + FRAME[5:])], None),  # no columns
        ([segment(0xDB, bytes(64)), segment(0xC0, FRAME)], None),
        ([segment(0xE0, b"JFIF"), segment(0xC0, FRAME)], None),
        ([segment(0xE1, b"Exif\0\0"), segment(0xC0, FRAME)], None),
        ([segment(0xE2, b"MPF\0"), segment(0xC0, FRAME)], None),
        ([b"\xff\xfe\x00\x01", segment(0xC0, FRAME)], None),  # shorter than its length
        ([b"\x00", segment(0xC0, FRAME)], None),
    ],
)
def test_segments(segments, expected):
    content = b"\xff\xd8" + b"".join(segments) + SCAN
    assert ordinary_shape(content) == expected
    assert ordinary_shape(b"\xff\xd9" + content[2:]) is None


def test_cut_headers_have_no_shape():
    content = JPEGS["plain"]
    scan = content.index(b"\xff\xda")
    assert all(ordinary_shape(content[:length]) is None for length in range(scan + 4))


def test_damaged_headers_are_taken_as_by_pillow(tmp_path):
    rng, path = np.random.default_rng(3), tmp_path / "a.jpg"
    shown = failed = 0
    for i in range(600):
        content = bytearray(list(JPEGS.values())[i % len(JPEGS)])
        for place in rng.integers(2, content.index(b"\xff\xda") + 20, rng.integers(1, 4)):
            content[place % len(content)] = rng.integers(256)
        path.write_bytes(content)
        expected, result = by_pillow(bytes(content), 3), by_project(path, 3)
        assert (result is None) == (expected is None)
        if expected is None:
            failed += 1
        else:
            shown += 1
            np.testing.assert_array_equal(result, expected)
    assert min(shown, failed) > 100
