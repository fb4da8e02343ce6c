"""Images of many bands: their files, and all steps of the pipeline on 16-bit numbers."""

import dataclasses
import sys

import numpy as np
import pytest

from datasets.cache import choice
from datasets.cache.disk import stored_images
from datasets.images.augmentation.mixing import CutMix, MixUp
from datasets.images.augmentation.preprocessing import Preprocessing
from datasets.images.files import FileImages, image_size, load_image
from datasets.images.normalization import measure
from datasets.images.pixels.resizing import Region, resize, resize_region
from datasets.images.unlabeled import image_reader
from datasets.readers.gem import _PADDED
from tests.datasets import reference
from tests.fake_data import write_bands, write_image
from utils import UserError, generator, generators

tifffile = pytest.importorskip("tifffile", reason="needs the package tifffile")

FORMS = {
    "pixel by pixel": {"planarconfig": "contig"},
    "band by band": {"planarconfig": "separate"},
    "big-endian": {"byteorder": ">"},
    "strips": {"rowsperstrip": 3},
    "tiles": {"tile": (16, 16)},
    "deflate": {"compression": "zlib", "compressionargs": {"level": 1}},
}


def bands(height=9, width=7, count=13, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 2**16, (height, width, count), np.uint16)


def write(path, pixels, **form):
    planes = pixels.transpose(2, 0, 1) if form.get("planarconfig") == "separate" else pixels
    form = {"planarconfig": "contig", "photometric": "minisblack"} | form
    tifffile.imwrite(path, planes, **form)
    return path


@pytest.mark.parametrize("form", FORMS)
def test_every_number_is_read_as_it_is(form, tmp_path):
    pixels = bands()
    path = write(tmp_path / "a.tif", pixels, **FORMS[form])

    found = load_image(path, 13)
    assert found.dtype == np.uint16 and found.flags.c_contiguous and found.dtype.isnative
    np.testing.assert_array_equal(found, pixels)
    assert image_size(path, 13) == (7, 9)


def test_the_bytes_of_a_file_written_by_hand_are_pixels_of_bands(tmp_path):
    """Two pixels of two bands; tags of width, height, bits, photometry, strip, bands, sizes."""
    entries = [
        *((256, 3, 1, 2), (257, 3, 1, 1), (258, 3, 2, 16 | 16 << 16), (259, 3, 1, 1)),
        *((262, 3, 1, 1), (273, 4, 1, 8), (277, 3, 1, 2), (278, 3, 1, 1), (279, 4, 1, 8)),
    ]
    numbers = np.array([1, 256, 65535, 7], "<u2").tobytes()
    directory = np.array(len(entries), "<u2").tobytes() + b"".join(
        np.array([tag, kind], "<u2").tobytes() + np.array([count, value], "<u4").tobytes()
        for tag, kind, count, value in entries
    )
    content = b"II*\0" + np.array(16, "<u4").tobytes() + numbers + directory + bytes(4)
    (tmp_path / "a.tif").write_bytes(content)

    assert load_image(tmp_path / "a.tif", 2).tolist() == [[[1, 256], [65535, 7]]]


REFUSED = {
    "other number": (lambda path: write(path, bands(count=10)), "10 bands of uint16, not 13"),
    "8 bits": (
        lambda path: write(path, bands().astype(np.uint8)),
        "13 bands of uint8, not 13 of uint16",
    ),
    "RGB": (lambda path: write_image(path), "3 bands of uint8, not 13 of uint16"),
    "PNG": (lambda path: write_image(path.with_suffix(".png")).rename(path), "not a TIFF file"),
    "nothing": (lambda path: path.write_bytes(b""), "not a TIFF file"),
    "cut": (lambda path: cut(write(path, bands()), 200), "parts of its pixels are missing"),
    "compressed": (lambda path: with_tag(write(path, bands()), 259, 5), "compressed by LZW"),
    "gigantic": (lambda path: with_tag(write(path, bands()), 257, 2**30), "more than 268,435,456"),
    "much deflated": (
        lambda path: write(path, bands(110, 110), **FORMS["deflate"]),
        "compressed and has more than 262,144 bytes",
    ),
    "flat": (lambda path: with_tag(write(path, bands()), 257, 0), "it has 7x0x1 pixels"),
    "no strip": (lambda path: with_tag(write(path, bands()), 279, 0), "pixels are missing"),
}


def cut(path, count):
    path.write_bytes(path.read_bytes()[:-count])


def with_tag(path, tag, value):
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages[0].tags[tag].overwrite(value)


@pytest.mark.parametrize("case", REFUSED)
def test_unsuitable_files_give_a_one_line_error(case, tmp_path, caplog):
    make, message = REFUSED[case]
    make(tmp_path / "a.tif")

    with pytest.raises(UserError, match=rf"cannot read .*a\.tif: .*{message}") as caught:
        load_image(tmp_path / "a.tif", 13)
    assert "\n" not in str(caught.value) and not caplog.records


def test_a_missing_package_is_reported_before_any_image_is_read(monkeypatch):
    monkeypatch.setitem(sys.modules, "tifffile", None)
    for read in (lambda: FileImages(["a.tif"], 13), lambda: image_reader(64, 64, 13)):
        with pytest.raises(UserError, match=r"tifffile: pip install -r requirements-bands\.txt"):
            read()
    FileImages(["a.tif"], 3)


SETTINGS = [
    _PADDED,
    dataclasses.replace(_PADDED, erasing=0.5),
    Preprocessing(None, None, 40, flip=0.3, erasing=1, white=300),
    Preprocessing(shift=0.1, vflip=0.5),
]


@pytest.mark.parametrize("settings", SETTINGS, ids=repr)
@pytest.mark.parametrize("kind", [list, np.stack])
def test_augmentation_is_the_plain_one(settings, kind):
    """Padding, crops, flips and erased parts of uint16 as plain slices of NumPy make them."""
    images = kind([bands(64, 64, seed=i) for i in range(12)])
    values = dataclasses.asdict(settings)
    assert not (values.pop("randaugment") or values.pop("jitter"))
    plain = reference.Preprocessing(**values)

    batch = settings.train.batch(images, generators("test", positions=range(12)))
    each = generators("test", positions=range(12))
    expected = [plain.train(*pair) for pair in zip(images, each, strict=True)]
    assert batch.dtype == (np.float32 if settings.shift else np.uint16)
    np.testing.assert_allclose(batch, expected, rtol=0, atol=0.05 if settings.shift else 0)
    assert len({result.tobytes() for result in batch}) == 12
    np.testing.assert_array_equal(settings.test(images[0]), plain.test(images[0]))


def test_padded_crops_and_flips_are_drawn_equally():
    draws = [_PADDED.train_params((64, 64, 13), generator("test", i)) for i in range(4000)]

    for side in ("top", "left"):
        places = np.array([getattr(params.crop, side) for params in draws])
        assert (places.min(), places.max()) == (-8, 8)
        # Each of 17 places 235 times; a standard deviation is 15.
        assert np.abs(np.bincount(places + 8) - 4000 / 17).max() < 60
    for flip in ("mirrored", "flipped"):
        assert abs(np.mean([getattr(params, flip) for params in draws]) - 0.5) < 0.03
    both = np.mean([params.mirrored and params.flipped for params in draws])
    assert abs(both - 0.25) < 0.03


def test_erased_numbers_are_uniform_up_to_white():
    settings = Preprocessing(flip=0, erasing=1, white=10_000)
    black = np.zeros((60, 60, 13), np.uint16)
    batch = settings.train.batch([black] * 20, generators("test", positions=range(20)))

    numbers = batch[batch > 0]
    assert numbers.max() == 10_000
    np.testing.assert_allclose(np.histogram(numbers, 10)[0] / len(numbers), 0.1, rtol=0.1)


def test_resizing_is_bilinear_and_anti_aliased():
    """Halved, every pixel is the mean of four, weighted 1 3 3 1 in both directions."""
    image = bands(8, 12)
    weights = np.array([1, 3, 3, 1]) / 8
    square = np.outer(weights, weights)
    windows = np.lib.stride_tricks.sliding_window_view(image, (4, 4), (0, 1))[1:-1:2, 1:-1:2]
    inner = np.tensordot(windows, square, 2)
    halved = resize(image, (4, 6))
    assert halved.dtype == np.uint16 and halved.shape == (4, 6, 13)
    np.testing.assert_allclose(halved[1:3, 1:5], inner, rtol=0, atol=0.6)
    region = resize_region(image, (4, 6), Region(1, 2, 2, 3), mirrored=True)
    np.testing.assert_array_equal(region, halved[1:3, 2:5][:, ::-1])


@pytest.mark.parametrize("in_memory", [True, False])
def test_mean_and_standard_deviation_are_those_of_numpy(in_memory, tmp_path):
    pixels = np.stack([bands(seed=i) // (i + 1) for i in range(5)])
    paths = [write(tmp_path / f"{i}.tif", image) for i, image in enumerate(pixels)]
    images = pixels if in_memory else FileImages(paths, 13)
    measured = measure(images, np.array([0, 2, 3]), 13)

    used = pixels[[0, 2, 3]].reshape(-1, 13).astype(np.float64)
    np.testing.assert_allclose(measured.mean, used.mean(axis=0))
    factor = 1 if in_memory else np.sqrt(3 / 2)  # files are divided by one less, as published
    np.testing.assert_allclose(measured.std, factor * used.std(axis=0))


def test_files_of_the_cache_hold_every_number(tmp_path):
    images = [bands(4 + i, 5, seed=i) for i in range(3)]
    paths = [write(tmp_path / f"{i}.tif", image) for i, image in enumerate(images)]
    arguments = (tmp_path, "x", FileImages(paths, 13), paths, np.arange(3), lambda: 1, 1)
    for _ in range(2):  # written, then read
        stored = stored_images(*arguments)
        for i, image in enumerate(images):
            assert stored[i].dtype == np.uint16
            np.testing.assert_array_equal(stored[i], image)


def test_headers_give_the_memory_of_16_bit_images(tmp_path):
    paths = [write_bands(tmp_path / f"{i}.tif", size=(8, 5 + i)) for i in range(3)]
    selection = choice._Selection(FileImages(paths, 13), np.arange(3), None)

    assert list(selection.sizes()) == [2 * 13 * 8 * width for width in (5, 6, 7)]


def test_mixed_images_are_parts_and_sums():
    images = np.stack([np.full((6, 6, 13), level, np.uint16) for level in (100, 60_000)])
    partners = np.array([1, 0])

    pasted, share = CutMix(1.0)(images.copy(), partners, np.random.default_rng(1))
    assert pasted.dtype == np.uint16 and 0 < share < 1
    assert (pasted[0] == 60_000).mean() == pytest.approx(share)
    blended, share = MixUp(1.0)(images, partners, np.random.default_rng(1))
    np.testing.assert_allclose(blended[0], 100 + share * 59_900, rtol=1e-5)
    np.testing.assert_allclose(blended[1], 60_000 - share * 59_900, rtol=1e-5)
