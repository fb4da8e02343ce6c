"""Resized regions are those of the image that Pillow resizes as a whole, bit by bit."""

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import datasets
from datasets.images.pixels import numba_resizing, pillow_resizing, resizing
from datasets.images.pixels.resizing import (
    Region,
    pixel_loops,
    resize,
    resize_region,
    resized_shape,
)

REPOSITORY = Path(__file__).parents[4]
WAYS = [numba_resizing, pillow_resizing]


def random_image(rng, height, width, channels):
    if rng.random() < 0.2:  # the extremes, where rounding could overflow
        return rng.choice(np.array([0, 255], np.uint8), (height, width, channels))
    return rng.integers(0, 256, (height, width, channels), dtype=np.uint8)


def whole(image, shape):
    """Horizontally, then vertically: the order of all versions of Pillow before 13."""
    height, channels = image.shape[0], image.shape[2]
    picture = Image.fromarray(image[:, :, 0] if channels == 1 else image)
    wide = picture.resize((shape[1], height), Image.Resampling.BILINEAR)
    resized = wide.resize((shape[1], shape[0]), Image.Resampling.BILINEAR)
    return np.asarray(resized).reshape(*shape, channels)


def random_region(rng, shape):
    rows, columns = (int(rng.integers(1, side + 1)) for side in shape)
    top, left = int(rng.integers(shape[0] - rows + 1)), int(rng.integers(shape[1] - columns + 1))
    return Region(top, left, rows, columns)


def cut(image, region, mirrored):
    top, left, rows, columns = region
    part = image[top : top + rows, left : left + columns]
    return part[:, ::-1] if mirrored else part


def guarded(region, channels):
    """An array for the result in the middle of another, which must stay full of 77."""
    around = np.full(region.rows * region.columns * channels + 128, 77, np.uint8)
    return around, around[64:-64].reshape(region.rows, region.columns, channels)


def check_region(way, image, shape, region, mirrored):
    around, out = guarded(region, image.shape[2])
    way.resize_region(image, shape, region, mirrored, out)
    np.testing.assert_array_equal(out, cut(whole(image, shape), region, mirrored))
    assert (around[:64] == 77).all()
    assert (around[-64:] == 77).all()


@pytest.mark.parametrize("way", WAYS)
def test_regions_of_random_images_are_those_of_pillow(way):
    rng = np.random.default_rng(7)
    larger = 0
    for _ in range(500):
        most = int(rng.choice([3, 30, 150]))
        *sides, height, width = (int(side) for side in rng.integers(1, most + 1, 4))
        image = random_image(rng, height, width, int(rng.choice([1, 3])))
        region = random_region(rng, sides)
        check_region(way, image, tuple(sides), region, bool(rng.random() < 0.5))
        larger += sides[0] > height
    assert 100 < larger < 400


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ((1, 1), (64, 48)),
        ((1, 500), (9, 448)),
        ((500, 1), (448, 9)),
        ((2, 900), (2, 900)),
        ((1500, 3), (30, 5)),
        ((375, 500), (512, 683)),
        ((500, 375), (341, 256)),
        ((90, 61), (90, 30)),
        ((90, 61), (31, 61)),
        ((64, 128), (1, 2)),
    ],
)
def test_extreme_and_usual_sizes(way, channels, old, new):
    rng = np.random.default_rng(8)
    image = random_image(rng, *old, channels)
    for region in Region(0, 0, *new), random_region(rng, new), random_region(rng, new):
        for mirrored in (False, True):
            check_region(way, image, new, region, mirrored)


def test_one_step_of_pillow_is_the_same_where_it_resizes_horizontally_first():
    image = random_image(np.random.default_rng(9), 333, 500, 3)
    shape = resized_shape(333, 500, 512)
    expected = Image.fromarray(image).resize(shape[::-1], Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(resize(image, shape), np.asarray(expected))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("old", "new"), [((1000, 3), (10, 3)), ((65, 65_536), (2, 1000))])
def test_great_reductions(way, old, new):
    image = random_image(np.random.default_rng(1), *old, 3)
    check_region(way, image, new, Region(0, 0, *new), False)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("channels", [1, 3])
def test_mirrored_regions(way, channels):
    rng = np.random.default_rng(2)
    for _ in range(100):
        image = random_image(rng, *(int(side) for side in rng.integers(1, 30, 2)), channels)
        image.setflags(write=False)
        region = random_region(rng, image.shape[:2])
        around, out = guarded(region, channels)
        way.mirror_region(image, region, out)
        np.testing.assert_array_equal(out, cut(image, region, True))
        assert (around[:64] == 77).all()
        assert (around[-64:] == 77).all()


def test_images_of_any_memory_layout():
    rng = np.random.default_rng(3)
    large = random_image(rng, 50, 60, 3)
    for image in large[::2, 5:40], large[:, ::-1], np.asfortranarray(large):
        image = image.view()
        image.setflags(write=False)
        region = Region(3, 4, 40, 20)
        result = resize_region(image, (70, 80), region)
        np.testing.assert_array_equal(result, cut(whole(image, (70, 80)), region, False))


@pytest.mark.parametrize(
    ("region", "shape"),
    [
        ((-1, 0, 5, 5), (5, 5, 3)),
        ((0, 8, 5, 5), (5, 5, 3)),
        ((8, 0, 5, 5), (5, 5, 3)),
        ((0, 0, 0, 5), (0, 5, 3)),
        ((0, 0, 5, 5), (5, 6, 3)),
        ((0, 0, 5, 5), (5, 5, 1)),
    ],
)
def test_regions_outside_the_image_are_refused(region, shape):
    image, out = np.zeros((12, 12, 3), np.uint8), np.empty(shape, np.uint8)
    with pytest.raises(ValueError, match="cannot write"):
        numba_resizing.resize_region(image, (12, 12), region, False, out)
    with pytest.raises(ValueError, match="cannot write"):
        numba_resizing.mirror_region(image, region, out)


@pytest.fixture
def fresh_pixel_loops(monkeypatch):
    """Make ``pixel_loops`` choose its implementation again."""
    monkeypatch.delitem(sys.modules, "datasets.images.pixels.numba_resizing")
    monkeypatch.delattr(datasets.images.pixels, "numba_resizing")
    pixel_loops.cache_clear()
    yield
    pixel_loops.cache_clear()


def test_without_numba_pillow_resizes(fresh_pixel_loops, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "numba", None)
    assert pixel_loops() is pillow_resizing
    assert caplog.text.count("without Numba") == 1
    image = random_image(np.random.default_rng(4), 40, 50, 3)
    region = Region(5, 6, 20, 30)
    result = resize_region(image, (60, 75), region, mirrored=True)
    np.testing.assert_array_equal(result, cut(whole(image, (60, 75)), region, True))
    assert len(caplog.records) == 1


def test_loops_that_would_change_pixels_are_not_used(monkeypatch, caplog):
    class Wrong:
        def resize_region(self, image, shape, region, mirrored, out):
            pillow_resizing.resize_region(image, shape, region, mirrored, out)
            out[-1, -1, -1] ^= 1

    monkeypatch.setitem(sys.modules, "datasets.images.pixels.numba_resizing", Wrong())
    pixel_loops.cache_clear()
    try:
        assert pixel_loops() is pillow_resizing
        assert "would change pixels" in caplog.text
    finally:
        pixel_loops.cache_clear()


def test_many_threads_may_come_first_at_once(fresh_pixel_loops):
    meeting, found = threading.Barrier(8), []

    def come():
        meeting.wait()
        found.append(pixel_loops())

    threads = [threading.Thread(target=come) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert set(found) == {datasets.images.pixels.numba_resizing}


def test_loops_are_compiled_where_nothing_can_be_stored():
    space = {}
    exec("def add_one(x):\n    x[0] += 1\n", space)  # has no file, so it cannot have a cache
    array = np.array([1])
    signature = numba_resizing.types.void(numba_resizing.types.int64[::1])
    with pytest.raises(RuntimeError, match="cannot cache"):
        numba_resizing.njit(signature, cache=True)(space["add_one"])
    numba_resizing.compiled(signature, space["add_one"])(array)
    assert array[0] == 2


def test_compiled_code_is_stored_in_a_folder_of_the_user(tmp_path, monkeypatch):
    monkeypatch.setattr(numba_resizing.config, "CACHE_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "new"))
    assert numba_resizing._own_folder() == tmp_path / "new/numba"
    assert (tmp_path / "new/numba").stat().st_mode & 0o777 == 0o700
    monkeypatch.setattr(numba_resizing.config, "CACHE_DIR", str(tmp_path / "chosen"))
    assert numba_resizing._own_folder() == tmp_path / "chosen"


@pytest.mark.parametrize(("writable", "mode"), [("chosen", 0o770), (".", 0o777)])
def test_compiled_code_of_others_is_not_run(tmp_path, monkeypatch, writable, mode):
    monkeypatch.setattr(numba_resizing.config, "CACHE_DIR", str(tmp_path / "chosen"))
    (tmp_path / "chosen").mkdir(mode=0o700)
    (tmp_path / writable).chmod(mode)
    with pytest.raises(OSError, match="others can write"):
        numba_resizing._own_folder()
    space = {}
    exec("def add_one(x):\n    x[0] += 1\n", space)
    array = np.array([1])
    signature = numba_resizing.types.void(numba_resizing.types.int64[::1])
    numba_resizing.compiled(signature, space["add_one"])(array)
    assert array[0] == 2 and not list((tmp_path / "chosen").iterdir())


def test_numba_is_imported_for_image_files_only():
    code = """
import sys
import numpy as np
from datasets import get_dataset
from datasets.images.pixels.resizing import resize
from utils import generators

digits = get_dataset("Digits")
count = len(digits.train)
digits.preprocessing.train.batch(digits.train.samples, generators("a", positions=range(count)))
digits.preprocessing.test.batch(digits.train.samples, generators("a", positions=range(count)))
assert "numba" not in sys.modules
resize(np.zeros((4, 4, 3), np.uint8), (5, 5))
assert "numba" in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_the_way_here_is_the_fast_one():
    assert resizing.pixel_loops() is numba_resizing
