"""RandAugment draws the published operations, with the published constants and probabilities."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from PIL.Image import Resampling

from datasets.images.augmentation.preprocessing import Preprocessing, apply
from datasets.images.augmentation.randaugment import ORIGINAL, TIMM, RandAugment, draw_jitter
from datasets.images.pixels import operations
from utils import generators

SHAPE = (100, 200, 3)

# At magnitude 9: the argument, or its absolute value where its sign is drawn.
PUBLISHED = {
    "autocontrast": None,
    "equalize": None,
    "invert": None,
    "rotate": 27.0,  # degrees
    "posterize": 3,  # bits
    "solarize": 230,
    "color": 1.72,
    "contrast": 1.72,
    "brightness": 1.72,
    "sharpness": 1.72,
    "shear_x": 0.27,
    "shear_y": 0.27,
    "translate_x": 90.0,  # pixels
    "translate_y": 90.0,
    "cutout": 36,  # half a side
    "solarize_add": 99,
}
SIGNED = {"rotate", "shear_x", "shear_y", "translate_x", "translate_y"}


def drawn(augment, count=4000):
    each = generators("test", 3, positions=range(count))
    return [augment.draw(SHAPE, rng) for rng in each]


def sizes(name, values):
    """Return the arguments, without their sign where that is drawn."""
    return {abs(value) if name in SIGNED else value for value in values}


def arguments(changes):
    """First arguments by the name of the operation."""
    found = {}
    for change in changes:
        values = found.setdefault(change.function.__name__, [])
        first = change.arguments[0] if change.arguments else None
        values.append(round(first, 9) if isinstance(first, float) else first)
    return found


def test_original_operations_have_their_constants_and_equal_shares():
    lists = drawn(RandAugment(2, 9))
    assert {len(changes) for changes in lists} == {2}
    changes = [change for changes in lists for change in changes]
    found = arguments(changes)
    assert set(found) == set(PUBLISHED) and len(ORIGINAL) == 16
    for name, values in found.items():
        assert abs(len(values) / 8000 - 1 / 16) < 0.012
        assert sizes(name, values) == {PUBLISHED[name]}
        if name in SIGNED:
            assert abs(np.mean(np.sign(values))) < 0.2
    fills = {change.options.get("fill") for change in changes}
    assert fills == {None, (128, 128, 128)}
    centers = [c.arguments[1:] for c in changes if c.function is operations.cutout]
    np.testing.assert_allclose(np.mean(centers, axis=0), [49.5, 99.5], atol=8)
    pairs = Counter(tuple(change.function for change in changes) for changes in lists)
    assert any(first is second for first, second in pairs)  # drawn with replacement


@pytest.mark.parametrize(
    ("magnitude", "expected"),
    [
        (0, {"posterize": 1, "solarize": 0, "color": 0.1, "cutout": 0, "solarize_add": 0}),
        (5, {"posterize": 2, "solarize": 128, "color": 1.0, "cutout": 20, "solarize_add": 55}),
        (30, {"posterize": 8, "solarize": 768, "color": 5.5, "cutout": 120, "solarize_add": 330}),
    ],
)
def test_magnitudes_are_proportional_also_beyond_10(magnitude, expected):
    found = arguments(c for changes in drawn(RandAugment(3, magnitude), 300) for c in changes)
    for name, value in expected.items():
        assert set(found[name]) == {value}


def test_timm_draws_15_operations_half_of_which_are_applied():
    augment = RandAugment(2, 10, "timm").with_mean((123.6, 116.5, 103.2))
    lists = drawn(augment)
    assert len(TIMM) == 15
    counts = np.bincount([len(changes) for changes in lists]) / len(lists)
    np.testing.assert_allclose(counts, [0.25, 0.5, 0.25], atol=0.03)
    changes = [change for changes in lists for change in changes]
    found = arguments(changes)
    expected = PUBLISHED | {"rotate": 30.0, "posterize": 4, "solarize": 256, "solarize_add": 110}
    expected |= {"translate_x": 0.45 * 200, "translate_y": 0.45 * 100, "shear_x": 0.3}
    expected |= {"shear_y": 0.3} | dict.fromkeys(("color", "contrast", "brightness"), 1.9)
    del expected["cutout"]
    expected["sharpness"] = 1.9
    assert set(found) == set(expected)
    for name, values in found.items():
        assert sizes(name, values) == {expected[name]}
    moved = [change.options for change in changes if change.options]
    assert {options["fill"] for options in moved} == {(124, 116, 103)}
    ways = Counter(options["resampling"] for options in moved)
    assert set(ways) == {Resampling.BILINEAR, Resampling.BICUBIC}
    assert abs(ways[Resampling.BILINEAR] / len(moved) - 0.5) < 0.06
    assert RandAugment(2, 10).with_mean((1.0, 2.0, 3.0)).fill is None


def test_jitter_has_three_factors_in_random_order():
    lists = [draw_jitter(0.4, rng) for rng in generators("test", positions=range(2000))]
    assert {len(set(change.function for change in changes)) for changes in lists} == {3}
    values = np.array([change.arguments[0] for changes in lists for change in changes])
    assert 0.6 <= values.min() < 0.61 and 1.39 < values.max() <= 1.4
    assert abs(values.mean() - 1) < 0.01
    orders = Counter(tuple(c.function.__name__ for c in changes) for changes in lists)
    assert len(orders) == 6 and min(orders.values()) > 250
    strong = [draw_jitter(3, rng) for rng in generators("test", positions=range(99))]
    large = [change.arguments[0] for changes in strong for change in changes]
    assert min(large) >= 0 and 3 < max(large) <= 4


def test_images_are_changed_after_they_are_mirrored_and_before_they_are_erased_and_moved():
    image = np.random.default_rng(1).integers(0, 256, (20, 24, 3), np.uint8)
    settings = Preprocessing(
        None, None, 16, flip=0.5, vflip=0.5, erasing=1.0, shift=0.1, jitter=0.4
    )
    for rng in generators("test", positions=range(20)):
        params = settings.train_params(image.shape, rng)
        expected = image[:, ::-1] if params.mirrored else image
        expected = (expected[::-1] if params.flipped else expected).copy()
        for change in params.changes:
            change(expected)
        patch = params.erased
        rows, columns = patch.pixels.shape[:2]
        expected[patch.top : patch.top + rows, patch.left : patch.left + columns] = patch.pixels
        rest = params._replace(mirrored=False, flipped=False, changes=(), erased=None)
        assert len(params.changes) == 3
        np.testing.assert_array_equal(apply(image, params), apply(expected, rest))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("settings", [Preprocessing(40, 40, 35), Preprocessing(shift=0.15)])
def test_all_of_it_on_gray_and_color_alone_and_in_batches(channels, settings):
    images = [
        np.random.default_rng(i).integers(0, 256, (50, 60, channels), np.uint8) for i in range(40)
    ]
    augment = replace(settings, randaugment=RandAugment(3, 9), jitter=0.4, vflip=0.5, erasing=0.5)
    for kind in (list, np.stack):
        each = generators("test", positions=range(40))
        batch = augment.train.batch(kind(images), each)
        for i, rng in enumerate(generators("test", positions=range(40))):
            np.testing.assert_array_equal(batch[i], augment.train(images[i], rng))
        assert len({part.tobytes() for part in batch}) == 40
