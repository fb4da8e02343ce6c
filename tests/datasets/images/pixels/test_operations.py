"""Operations on colors and geometry against NumPy by hand, and Numba's loops against Pillow's."""

import math

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from datasets.images.pixels import numba_operations, operations, pillow_operations

RNG = np.random.default_rng(5)
FILL = (128, 127, 126)


def random_image(height=31, width=44, channels=3, low=0, high=256):
    return RNG.integers(low, high, (height, width, channels), np.uint8)


def changed(operation, image, *arguments, **options):
    result = image.copy()
    operation(result, *arguments, **options)
    return result


def pillow(image):
    return Image.fromarray(image)


@pytest.fixture(params=[numba_operations, pillow_operations], ids=["numba", "pillow"])
def loops(request, monkeypatch):
    monkeypatch.setattr(operations, "pixel_loops", lambda: request.param)


def test_colors_are_changed_level_by_level(loops):
    image = random_image()
    wide = image.astype(int)
    np.testing.assert_array_equal(changed(operations.invert, image), 255 - wide)
    for bits, mask in ((0, 0), (1, 0b10000000), (3, 0b11100000), (8, 255)):
        np.testing.assert_array_equal(changed(operations.posterize, image, bits), wide & mask)
    for threshold in (0, 100, 256):
        expected = np.where(wide < threshold, wide, 255 - wide)
        np.testing.assert_array_equal(changed(operations.solarize, image, threshold), expected)
    for amount in (0, 99, 200):
        expected = np.where(wide < 128, np.minimum(wide + amount, 255), wide)
        np.testing.assert_array_equal(changed(operations.solarize_add, image, amount), expected)
    for factor in (0.1, 1.0, 1.9):
        expected = np.minimum((wide * factor).astype(int), 255)
        actual = changed(operations.brightness, image, factor)
        np.testing.assert_allclose(actual, expected, atol=1)  # rounded in single precision
        assert (actual != expected).mean() < 0.05


def by_hand_blended(base, image, factor):
    return np.clip(base + factor * (image.astype(float) - base), 0, 255).astype(int)


def gray(image):
    """ITU-R 601 as whole numbers of 2**-16, rounded."""
    return (image.astype(int) @ [19595, 38470, 7471] + 32768) // 65536


@pytest.mark.parametrize("factor", [0.1, 0.82, 1.9, 1e9])
def test_color_contrast_and_sharpness_blend_with_gray_mean_and_smooth(loops, factor):
    image = random_image()
    levels = gray(image)
    smooth = image.astype(int)
    total = sum(
        (5 if row == column == 1 else 1) * smooth[row : row + 29, column : column + 42]
        for row in range(3)
        for column in range(3)
    )
    smooth[1:-1, 1:-1] = (total + 6) // 13
    for operation, base in (
        (operations.color, levels[..., None]),
        (operations.contrast, math.floor(levels.mean() + 0.5)),
        (operations.sharpness, smooth),
    ):
        actual = changed(operation, image, factor)
        expected = by_hand_blended(base, image, factor)
        np.testing.assert_allclose(actual, expected, atol=1)
        assert (actual != expected).mean() < 0.02  # single precision


def test_autocontrast_and_equalize_by_hand(loops):
    image = random_image(low=60, high=200)
    image[..., 2] = 77  # a constant channel stays
    actual = changed(operations.autocontrast, image)
    for c in (0, 1):
        low, high = image[..., c].min(), image[..., c].max()
        exact = (image[..., c] - float(low)) * 255 / (high - low)
        np.testing.assert_allclose(actual[..., c], exact - 0.5, atol=0.5 + 1e-6)  # cut off
        assert actual[..., c].min() == 0 and actual[..., c].max() >= 254
    np.testing.assert_array_equal(actual[..., 2], 77)
    equal = changed(operations.equalize, image)
    for c in (0, 1):
        counts = np.bincount(image[..., c].ravel(), minlength=256).tolist()
        step = (sum(counts) - counts[image[..., c].max()]) // 255
        table = [min(255, (sum(counts[:level]) + step // 2) // step) for level in range(256)]
        np.testing.assert_array_equal(equal[..., c], np.array(table)[image[..., c]])
    np.testing.assert_array_equal(equal[..., 2], 77)


def nearest(image, matrix, fill):
    """Sample each pixel's center at the nearest pixel of its place by the matrix."""
    height, width, _ = image.shape
    ys, xs = np.mgrid[:height, :width] + 0.5
    a, b, c, d, e, f = matrix
    columns, rows = np.floor(a * xs + b * ys + c), np.floor(d * xs + e * ys + f)
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    columns, rows = (np.where(inside, v, 0).astype(int) for v in (columns, rows))
    return np.where(inside[..., None], image[rows, columns], np.uint8(fill))


@pytest.mark.parametrize("shape", [(31, 44), (40, 40)])
def test_geometry_by_hand(loops, shape):
    image = random_image(*shape)
    height, width = shape
    turn = math.radians(23.0)
    cos, sin = math.cos(turn), math.sin(turn)
    x, y = width / 2, height / 2
    rotated = (cos, -sin, x - cos * x + sin * y, sin, cos, y - sin * x - cos * y)
    # Row y, counted from 0, moves by 0.27 y, whatever its pixels' centers are.
    sheared = (1, 0.27, -0.135, 0, 1, 0)
    for operation, argument, matrix in (
        (operations.rotate, 23.0, rotated),
        (operations.shear_x, 0.27, sheared),
        (operations.shear_y, 0.27, (1, 0, 0, 0.27, 1, -0.135)),
        (operations.translate_x, -7.0, (1, 0, -7, 0, 1, 0)),
        (operations.translate_y, 12.0, (1, 0, 0, 0, 1, 12)),
        # Out of sight, wholly or but for one line.
        (operations.translate_x, -100.0, (1, 0, -100, 0, 1, 0)),
        (operations.translate_y, height - 1.0, (1, 0, 0, 0, 1, height - 1)),
        (operations.shear_x, 300.0, (1, 300, -150, 0, 1, 0)),
        (operations.shear_y, -300.0, (1, 0, 0, -300, 1, 150)),
    ):
        actual = changed(operation, image, argument, fill=FILL)
        expected = nearest(image, matrix, FILL)
        # Coordinates are rounded to 1/65536 of a pixel.
        assert (actual != expected).any(axis=2).mean() < 0.004
        assert (expected == np.uint8(FILL)).all(axis=2).any()


def test_cutout_fills_a_square_as_far_as_it_is_inside():
    image = np.zeros((20, 30, 3), np.uint8)
    expected = image.copy()
    expected[0:6, 22:30] = FILL
    actual = changed(operations.cutout, image, 4, 2, 26, fill=FILL)
    np.testing.assert_array_equal(actual, expected)


def test_operations_are_those_of_pillow(loops):
    """Compare images with 1 and 3 channels, some of them tiny."""
    for height, width in ((33, 20), (2, 5), (1, 1)):
        image = random_image(height, width)
        level = image[..., 0].copy()
        for source in (image, level[..., None]):
            picture = pillow(image if source.shape[2] == 3 else level)
            fill = FILL[: source.shape[2]]
            color = fill if len(fill) > 1 else fill[0]
            for operation, arguments, expected in (
                (operations.autocontrast, (), ImageOps.autocontrast(picture)),
                (operations.equalize, (), ImageOps.equalize(picture)),
                (operations.color, (1.7,), ImageEnhance.Color(picture).enhance(1.7)),
                (operations.contrast, (1.7,), ImageEnhance.Contrast(picture).enhance(1.7)),
                (operations.brightness, (0.3,), ImageEnhance.Brightness(picture).enhance(0.3)),
                (operations.sharpness, (1.7,), ImageEnhance.Sharpness(picture).enhance(1.7)),
                (operations.rotate, (30.0, fill), picture.rotate(30.0, fillcolor=color)),
            ):
                actual = changed(operation, source, *arguments)
                np.testing.assert_array_equal(actual, np.asarray(expected).reshape(source.shape))


def untruncated(image, matrix, fill, way):
    """Interpolate with Pillow, channel by channel as floating-point numbers."""
    channels = [
        Image.fromarray(np.float32(image[..., c])).transform(
            image.shape[1::-1], Image.Transform.AFFINE, matrix, way, fillcolor=fill[c]
        )
        for c in range(image.shape[2])
    ]
    return np.stack([np.asarray(channel) for channel in channels], axis=2)


@pytest.mark.parametrize("way", [Image.Resampling.BILINEAR, Image.Resampling.BICUBIC])
@pytest.mark.parametrize(
    "shape", [(31, 44, 3), (40, 40, 1), (167, 58, 3), (2, 5, 3), (1, 1, 1), (3, 1, 3)]
)
def test_interpolated_geometry_is_truncated(shape, way):
    height, width, channels = shape
    image = random_image(*shape)
    image[RNG.random(shape) < 0.3] = 0
    image[RNG.random(shape) < 0.3] = 255  # bicubic values exceed both
    fill = FILL[:channels]
    turn, shear, moved = (RNG.uniform(-1, 1, 3) * (180, 0.5, width)).tolist()
    cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    x, y = width / 2, height / 2
    for operation, argument, matrix in (
        (
            operations.rotate,
            turn,
            (cos, -sin, x - cos * x + sin * y, sin, cos, y - sin * x - cos * y),
        ),
        (operations.rotate, 0.0, (1, 0, 0, 0, 1, 0)),
        # The cosine is not exactly 0.
        (operations.rotate, 270.0, operations._rotation(height, width, 270.0)),
        (operations.shear_x, shear, (1, shear, -shear / 2, 0, 1, 0)),
        (operations.shear_x, 0.25, (1, 0.25, -0.125, 0, 1, 0)),
        (operations.shear_y, shear, (1, 0, 0, shear, 1, -shear / 2)),
        (operations.translate_x, moved, (1, 0, moved, 0, 1, 0)),
        (operations.translate_y, -1.5, (1, 0, 0, 0, 1, -1.5)),
        (operations.translate_y, 100.0, (1, 0, 0, 0, 1, 100)),  # out of sight
    ):
        actual = changed(operation, image, argument, fill, way)
        exact = untruncated(image, matrix, fill, way)
        low, high = (np.floor(np.clip(exact + e, 0, 255)) for e in (-0.001, 0.001))
        assert ((low <= actual) & (actual <= high)).all()


def test_pillow_takes_over_where_numba_computes_other_pixels(monkeypatch, caplog):
    operations.pixel_loops.cache_clear()
    monkeypatch.setattr(numba_operations, "sharpen", lambda image, *arguments: None)
    assert operations.pixel_loops() is pillow_operations
    assert "it would change pixels" in caplog.text
    operations.pixel_loops.cache_clear()
    monkeypatch.undo()
    assert operations.pixel_loops() is numba_operations
