"""Augmentation: independent computations of each step, its distributions, all steps together.

All steps together are compared with those in ``reference``, which computes them one by one.
"""

import dataclasses

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from datasets.images.augmentation.parameters import draw_erased
from datasets.images.augmentation.preprocessing import Preprocessing
from datasets.images.pixels.resizing import Region, resize, resize_region, resized_shape
from datasets.images.pixels.shifting import resample
from tests.datasets import reference
from utils import generator, generators


def random_image(height=20, width=30, channels=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, channels), dtype=np.uint8)


@pytest.mark.parametrize(
    ("height", "width", "size", "expected"),
    [
        (375, 500, 512, (512, 683)),
        (500, 375, 256, (341, 256)),
        (333, 500, 256, (256, 384)),
        (64, 64, 512, (512, 512)),
        (3, 1, 2, (6, 2)),
    ],
)
def test_shorter_side_is_resized_and_the_aspect_ratio_kept(height, width, size, expected):
    resized = Preprocessing(test_size=size).test(random_image(height, width))
    assert resized.shape == (*expected, 3)
    assert resized.dtype == np.uint8


def test_downsizing_averages_instead_of_skipping_pixels():
    stripes = np.zeros((64, 64, 1), np.uint8)
    stripes[:, ::2] = 255
    resized = Preprocessing(test_size=16).test(stripes)
    assert resized.shape == (16, 16, 1)
    np.testing.assert_allclose(resized, 127.5, atol=12)


def test_resizing_is_bilinear():
    image = random_image(10, 12)
    expected = np.asarray(Image.fromarray(image).resize((24, 20), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(Preprocessing(test_size=20).test(image), expected)


def test_flip_mirrors_left_and_right_half_of_the_time():
    image = random_image()
    rng = np.random.default_rng(1)
    flipped = [Preprocessing(flip=0.5).train(image, rng) for _ in range(2000)]
    mirrored = [np.array_equal(result, np.fliplr(image)) for result in flipped]
    same = [np.array_equal(result, image) for result in flipped]
    assert sum(mirrored) + sum(same) == 2000
    assert abs(np.mean(mirrored) - 0.5) < 0.04


def erased_boxes(height, width, count, probability=0.5):
    """Rows and columns of the erased rectangles, and the values they were filled with."""
    # Zeros cannot tell where the fill is 0, so its extent is that of all other values: a row or
    # column of more than ten pixels is all zero once in 256**30 draws.
    image = np.zeros((height, width, 3), np.uint8)
    rng, erase = np.random.default_rng(2), Preprocessing(flip=0, erasing=probability).train
    boxes, values = [], []
    for _ in range(count):
        erased = erase(image, rng)
        rows, columns = np.flatnonzero(erased.any((1, 2))), np.flatnonzero(erased.any((0, 2)))
        if len(rows):
            box = erased[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            boxes.append((rows[0], columns[0], *box.shape[:2]))
            values.append(box.ravel())
    assert not image.any()
    return np.array(boxes), np.concatenate(values)


def test_random_erasing_has_its_probability_sizes_and_fill():
    count, side = 2000, 100
    boxes, values = erased_boxes(side, side, count)
    assert abs(len(boxes) / count - 0.5) < 0.04
    rows, columns = boxes[:, 2], boxes[:, 3]
    areas, aspects = rows * columns / side**2, rows / columns
    # Whole pixels are cut off, so both ranges are wider by one pixel's worth.
    assert 0.015 < areas.min() < 0.025
    assert 0.27 < areas.max() <= 0.3
    assert 0.27 < aspects.min() < 0.4
    assert 2.8 < aspects.max() < 3.7
    shares = np.bincount(values, minlength=256) / len(values)
    np.testing.assert_allclose(shares, 1 / 256, rtol=0.03)


def published_areas(height, width, count):
    """Simulate the published rule without its positions: shares of the image that are erased."""
    rng = np.random.default_rng(3)
    areas = rng.uniform(0.02, 0.3, 2 * count) * height * width
    aspects = rng.uniform(0.3, 1 / 0.3, 2 * count)
    rows, columns = np.floor(np.sqrt(areas * aspects)), np.floor(np.sqrt(areas / aspects))
    fits = (rows < height) & (columns < width)
    return (rows * columns)[fits][:count] / (height * width)


class WithoutPixels:
    """A generator that leaves out to draw pixels, which come last and take most of the time."""

    def __init__(self, rng):
        self.rng = rng

    def __getattr__(self, name):
        return getattr(self.rng, name)

    def integers(self, *bounds, size=None, **options):
        return np.zeros(size, np.uint8) if size else self.rng.integers(*bounds, **options)


# CUB's usual photographs, resized to 512 pixels; a panorama; an icon.
@pytest.mark.parametrize(
    ("height", "width"), [(512, 683), (683, 512), (512, 512), (256, 1500), (9, 7)]
)
def test_only_the_size_of_the_erased_rectangle_is_drawn_again(height, width):
    expected = published_areas(height, width, 100_000)
    each = generators("test", positions=range(20_000))
    patches = [draw_erased((height, width, 1), 1, WithoutPixels(rng)) for rng in each]
    measured = np.array([patch.pixels.size for patch in patches]) / (height * width)
    assert abs(measured.mean() - expected.mean()) < 0.0025
    assert abs(measured.std() - expected.std()) < 0.0025
    assert abs((measured > 0.2).mean() - (expected > 0.2).mean()) < 0.015
    if min(height, width) == 512:  # .12 and .17 if the position were drawn with the size
        assert 0.151 < measured.mean() < 0.163
        assert 0.31 < (measured > 0.2).mean() < 0.37
    # Where it may lie, it lies anywhere with the same probability.
    places = [
        [(patch.top + 0.5) / (height - patch.pixels.shape[0] + 1) for patch in patches],
        [(patch.left + 0.5) / (width - patch.pixels.shape[1] + 1) for patch in patches],
    ]
    for along in places:
        assert abs(np.mean(along) - 0.5) < 0.01
        assert min(along) > 0 and max(along) < 1


def test_random_erasing_reaches_all_corners_and_stays_inside():
    boxes, _ = erased_boxes(60, 90, 1500, probability=1)
    assert boxes[:, 0].min() == 0
    assert boxes[:, 1].min() == 0
    assert (boxes[:, 0] + boxes[:, 2]).max() == 60
    assert (boxes[:, 1] + boxes[:, 3]).max() == 90


def test_random_erasing_ends_on_tiny_images():
    image = random_image(1, 5000)
    result = Preprocessing(flip=0, erasing=1).train(image, np.random.default_rng(0))
    np.testing.assert_array_equal(result, image)


def test_random_crops_are_uniform():
    image = np.arange(5 * 6, dtype=np.uint8).reshape(5, 6, 1)
    rng, crop = np.random.default_rng(4), Preprocessing(crop_size=4, flip=0).train
    corners = [int(crop(image, rng)[0, 0, 0]) for _ in range(3000)]
    values, counts = np.unique(corners, return_counts=True)
    assert values.tolist() == [0, 1, 2, 6, 7, 8]
    np.testing.assert_allclose(counts / 3000, 1 / 6, atol=0.03)
    result = crop(image, rng)[..., 0]
    top, left = divmod(int(result[0, 0]), 6)
    np.testing.assert_array_equal(result, image[top : top + 4, left : left + 4, 0])


def test_testing_takes_the_center():
    image = random_image(10, 14)
    settings = Preprocessing(64, crop_size=6, erasing=1)
    np.testing.assert_array_equal(settings.test(image), image[2:8, 4:10])


def test_small_images_are_reflected_at_the_border():
    row = np.array([[[1], [2], [3]]], np.uint8).repeat(6, axis=0)
    padded = Preprocessing(crop_size=6).test(row)[..., 0]
    # One column before and two after, without repeating the border itself.
    np.testing.assert_array_equal(padded, [[2, 1, 2, 3, 2, 1]] * 6)


def test_small_images_are_padded_at_uniform_offsets_in_training():
    """The rows of a ramp say where the image is, also where only one side is too short."""
    image = np.arange(10, 40, dtype=np.uint8).reshape(3, 10, 1)
    crop = Preprocessing(crop_size=6, flip=0).train
    reflected = np.pad(image, ((3, 3), (0, 0), (0, 0)), "reflect")
    places = []
    for rng in generators("test", positions=range(2000)):
        result = crop(image, rng)
        (place,) = [
            (top, left)
            for top in range(4)
            for left in range(5)
            if np.array_equal(reflected[3 - top : 9 - top, left : left + 6], result)
        ]
        places.append(place)
    counts = np.bincount([5 * top + left for top, left in places], minlength=20)
    np.testing.assert_allclose(counts / 2000, 1 / 20, atol=0.02)


@pytest.mark.parametrize("offset", [(0, 0), (1.7, -2.3), (-4.8, 0.25), (40, -40)])
def test_resampling_at_an_offset_is_the_shift_of_scipy(offset):
    image = random_image(16, 12)
    ys, xs = np.arange(16) + offset[0], np.arange(12) + offset[1]
    shift = (-offset[0], -offset[1], 0)
    expected = ndimage.shift(image.astype(float), shift, order=1, mode="nearest")
    result = resample(image[None], ys[None], xs[None])[0]
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, atol=1e-3)


class Draws:
    """A generator whose uniform draws are given, as fractions of the range."""

    def __init__(self, *pairs):
        self.pairs = list(pairs)

    def uniform(self, low, high, size):
        assert size == 2
        return low + (high - low) * np.array(self.pairs.pop(0))


def test_shift_and_zoom_are_the_affine_transform_of_scipy():
    image = random_image(32, 20)
    settings = Preprocessing(flip=0, shift=0.15, zoom=(0.75, 1.25))
    result = settings.train(image, Draws((0.9, 0.2), (0.1, 0.7)))
    center = np.array([15.5, 9.5])
    factors = np.array([0.75 + 0.1 * 0.5, 0.75 + 0.7 * 0.5])
    shifts = np.array([32 * 0.15 * 0.8, 20 * 0.15 * -0.6])
    offset = center - factors * center + shifts
    expected = np.stack(
        [
            ndimage.affine_transform(
                image[..., channel].astype(float), factors, offset, order=1, mode="nearest"
            )
            for channel in range(3)
        ],
        axis=-1,
    )
    np.testing.assert_allclose(result, expected, atol=1e-3)


def test_shifts_are_uniform_and_sub_pixel():
    # On a ramp, the value in the middle tells where it comes from.
    ramp = np.broadcast_to(np.arange(40, dtype=np.uint8)[:, None, None], (40, 20, 1))
    rng, shift = np.random.default_rng(5), Preprocessing(flip=0, shift=0.15).train
    shifts = [shift(ramp, rng)[20, 10, 0] - 20 for _ in range(2000)]
    assert -6 <= min(shifts) < -5.9
    assert 5.9 < max(shifts) <= 6
    assert abs(np.std(shifts) - 12 / np.sqrt(12)) < 0.1
    assert len(np.unique(np.round(shifts, 3))) > 1500


def test_sizes_are_drawn_from_the_half_open_range():
    image, rng = random_image(20, 20), np.random.default_rng(6)
    train = Preprocessing((26, 30)).train
    assert {train(image, rng).shape[0] for _ in range(200)} == {26, 27, 28, 29}


def test_images_without_any_step_are_left_alone():
    image = random_image()
    settings = Preprocessing(flip=0)
    np.testing.assert_array_equal(settings.train(image, np.random.default_rng(0)), image)
    np.testing.assert_array_equal(settings.test(image), image)


def test_regions_are_parts_of_the_resized_image_bit_by_bit():
    rng = np.random.default_rng(7)
    exact = 0
    for _ in range(600):
        height, width = rng.integers(3, 120, 2).tolist()
        size = int(rng.choice([16, 32, 64, rng.integers(3, 100)]))
        image = random_image(height, width, int(rng.choice([1, 3])), seed=size)
        whole = reference.resize_shorter_side(image, size)
        shape = resized_shape(height, width, size)
        np.testing.assert_array_equal(resize(image, shape), whole)
        rows, columns = rng.integers(1, shape[0] + 1), rng.integers(1, shape[1] + 1)
        top, left = rng.integers(shape[0] - rows + 1), rng.integers(shape[1] - columns + 1)
        region = Region(*map(int, (top, left, rows, columns)))
        expected = whole[top : top + rows, left : left + columns]
        np.testing.assert_array_equal(resize_region(image, shape, region), expected)
        mirrored = resize_region(image, shape, region, mirrored=True)
        np.testing.assert_array_equal(mirrored, expected[:, ::-1])
        exact += shape != (height, width)
    assert exact > 500


SETTINGS = [
    Preprocessing(64, 64, 56, erasing=0.5),
    Preprocessing(50, 50, 44, erasing=1, flip=1),
    Preprocessing((40, 60), 40, 35, erasing=0.5),
    Preprocessing(32, 32, 48, erasing=0.5),
    Preprocessing(None, None, 20, erasing=0.5),
    Preprocessing(40, 40, None, erasing=0.5),
    Preprocessing(erasing=0.5),
    Preprocessing(shift=0.15),
    Preprocessing(shift=0.15, zoom=(0.75, 1.25), erasing=0.3),
    Preprocessing(32, 32, 28, shift=0.1, erasing=0.5),
    Preprocessing(flip=0, zoom=(0.5, 2)),
    Preprocessing(64, 64, 56, vflip=0.5, erasing=0.5),
    Preprocessing(shift=0.15, vflip=0.5, erasing=0.5),
    Preprocessing(None, 64, 56, crop_scale=(0.4, 1), vflip=0.5, erasing=0.5),
    Preprocessing(shift=0.15, crop_scale=(0.9, 1), erasing=0.5),
    Preprocessing(None, None, 40, vflip=0.5, pad=8, erasing=0.5),
    Preprocessing(32, 32, 32, pad=8),
]


def plain_of(settings):
    """Return the reference, which has no operations on colors and geometry."""
    values = dataclasses.asdict(settings)
    assert not (values.pop("randaugment") or values.pop("jitter"))
    return reference.Preprocessing(**values)


def assert_same(actual, expected):
    """Compare bit by bit or, for shifted images, up to rounding in float32."""
    assert actual.dtype == expected.dtype
    tolerance = 0 if actual.dtype == np.uint8 else 1e-4
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("settings", SETTINGS, ids=repr)
@pytest.mark.parametrize("channels", [1, 3])
def test_all_steps_together_are_those_of_the_reference(settings, channels):
    plain = plain_of(settings)
    changed = 0
    for i in range(40):
        image = random_image(45 + i, 83 - i, channels, seed=i)
        image.setflags(write=False)
        first, second = generator("test", i), generator("test", i)
        expected = plain.train(image, first)
        result = settings.train(image, second)
        assert_same(result, expected)
        assert first.bit_generator.state == second.bit_generator.state
        assert_same(settings.test(image), plain.test(image))
        changed += not np.array_equal(result, image)
    assert changed > 10


def alone(position):
    return next(generators("test", 1, positions=[position]))


@pytest.mark.parametrize("settings", SETTINGS, ids=repr)
@pytest.mark.parametrize("kind", [list, np.stack])
def test_batches_are_their_images(settings, kind):
    if isinstance(settings.train_size, tuple) and settings.crop_size is None:
        pytest.skip("images of different sizes make no batch")
    images = kind([random_image(60, 50, seed=i) for i in range(30)])
    before = np.stack(images)
    each = generators("test", 1, positions=range(30))
    batch = settings.train.batch(images, each)
    plain = plain_of(settings)
    expected = [plain.train(image, alone(i)) for i, image in enumerate(images)]
    assert_same(batch, np.stack(expected))
    np.testing.assert_array_equal(np.stack(images), before)
    one_by_one = [settings.train(image, alone(i)) for i, image in enumerate(images)]
    np.testing.assert_array_equal(batch, np.stack(one_by_one))
    tested = settings.test.batch(images, generators("test", 1, positions=range(30)))
    np.testing.assert_array_equal(tested, np.stack([settings.test(image) for image in images]))


def test_flips_crops_and_erased_areas_of_thousands_of_images_have_their_distribution():
    """Pixels encode their position, so that each result shows what happened to the image."""
    height, width, side, count = 12, 16, 8, 4000
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0], image[..., 1] = np.mgrid[:height, :width]
    image[..., 2] = 77
    settings = Preprocessing(None, None, side, flip=0.3, erasing=0.4)
    batch = settings.train.batch([image] * count, generators("test", positions=range(count)))
    known = (batch[..., 2] == 77) & (batch[..., 0] < height) & (batch[..., 1] < width)
    erased = 1 - known.mean(axis=(1, 2))
    flips, tops, lefts = [], [], []
    for result, whole in zip(batch, erased == 0, strict=True):
        if whole:
            flips.append(result[0, 0, 1] > result[0, -1, 1])
            tops.append(result[0, 0, 0])
            lefts.append(min(result[0, 0, 1], result[0, -1, 1]))
    assert abs(np.mean(flips) - 0.3) < 0.03
    for places, number in ((tops, height - side + 1), (lefts, width - side + 1)):
        shares = np.bincount(places, minlength=number) / len(places)
        np.testing.assert_allclose(shares, 1 / number, atol=0.03)
    # The visible part of erased areas, computed by the reference from other draws.
    rng, plain = np.random.default_rng(8), reference.Preprocessing(None, None, side, erasing=0.4)
    others = np.array([(plain.train(image, rng)[..., 2] != 77).mean() for _ in range(count)])
    assert abs((erased > 0).mean() - (others > 0).mean()) < 0.04
    assert abs(erased.mean() - others.mean()) < 0.01
    assert abs(erased.std() - others.std()) < 0.01
