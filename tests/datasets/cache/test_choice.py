"""Choice of the cache: same images as without it, limits of memory, normalization."""

import json

import numpy as np
import pytest
from PIL import Image

from datasets import get_dataset
from datasets.cache import choice
from datasets.cache.choice import with_cache, with_normalization
from tests.datasets.cache.birds import birds, check_equal, epochs, files
from tests.datasets.reference import resize_shorter_side
from tests.fake_data import write_classes, write_folder
from utils import UsageError, UserError


@pytest.mark.parametrize("where", ["ram", "auto", "folder"])
@pytest.mark.parametrize("size", [32, (24, 40)])
def test_cached_equals_uncached_bit_by_bit(root, tmp_path, where, size):
    dataset = birds(root, target_size=size)
    plain = epochs(dataset)
    where = tmp_path / "new" / "cache" if where == "folder" else where
    cached = with_cache(dataset, where, 2)
    check_equal(epochs(cached), plain)
    assert cached.normalization == dataset.normalization
    for path in (root / "images").glob("*/*.jpg"):
        path.unlink()
    check_equal(epochs(cached), plain)  # nothing is read again


@pytest.mark.parametrize("where", ["ram", "folder"])
def test_subsets_are_kept(root, tmp_path, where):
    dataset = get_dataset("CUB-sub2", root, target_size=32, crop_size=28)
    dataset = dataset.restrict([3, 1])
    cached = with_cache(dataset, tmp_path / "cache" if where == "folder" else where)
    check_equal(epochs(cached), epochs(dataset))
    np.testing.assert_array_equal(cached.train.labels, dataset.train.labels)
    if where == "folder":
        (path,) = (tmp_path / "cache").glob("*train*.images")
        index = np.frombuffer(path.read_bytes()[: 4 * 5 * 8], "<i8").reshape(4, 5)
        assert set(index[:, 2]) == {3}  # two classes, two images each, three channels


def test_images_are_read_once(root, monkeypatch):
    read = []
    load = choice.FileImages.__getitem__
    monkeypatch.setattr(
        choice.FileImages, "__getitem__", lambda self, i: (read.append(i), load(self, i))[1]
    )
    dataset = with_cache(birds(root), "ram")
    for i in 2 * [*range(len(dataset.train))]:
        dataset.train[i]
    assert len(read) == len(dataset.train)


def test_kept_images_cannot_be_changed(root, tmp_path):
    for where in ("ram", tmp_path / "cache"):
        image = with_cache(birds(root), where).train[0]
        with pytest.raises(ValueError, match="read-only"):
            image[0] = 0


def test_off_and_arrays_change_nothing(root, caplog, tmp_path):
    dataset = birds(root)
    assert with_cache(dataset, "off") is dataset
    digits = get_dataset("Digits")
    assert with_cache(digits, "auto") is digits
    with caplog.at_level("INFO"):
        assert with_cache(digits, tmp_path / "cache") is digits
    assert "in memory anyway" in caplog.text
    assert not (tmp_path / "cache").exists()


def test_memory_decides(root, monkeypatch, caplog):
    dataset = birds(root)
    needed = sum(
        np.prod(resize_shorter_side(image, 32).shape)
        for split in (dataset.train, dataset.test)
        for image in (split[i] for i in range(len(split)))
    )
    caplog.set_level("INFO")
    for available, where, expected in (
        (2.01 * needed, "auto", "Keeping decoded images in memory"),
        (1.99 * needed, "auto", "Not keeping decoded images"),
        (1.01 * needed, "ram", "Keeping decoded images in memory"),
    ):
        caplog.clear()
        monkeypatch.setattr(choice, "available_memory", lambda available=available: available)
        with_cache(dataset, where)
        assert expected in caplog.text
    monkeypatch.setattr(choice, "available_memory", lambda: 0.99 * needed)
    with pytest.raises(UsageError, match="--cache ram"):
        with_cache(dataset, "ram")


def test_measured_statistics_are_those_of_the_whole_images_and_are_stored(tmp_path, monkeypatch):
    root = write_classes(tmp_path / "data")
    dataset = get_dataset("Folder", root, target_size=8)
    images = [dataset.train[i] for i in range(len(dataset.train))]
    mean = np.mean([image.mean((0, 1)) for image in images], axis=0)
    squares = np.sum([((image - mean) ** 2).mean((0, 1)) for image in images], axis=0)
    for where in ("ram", tmp_path / "cache"):
        fresh = get_dataset("Folder", root, target_size=8)
        measured = with_normalization(fresh, where).normalization
        np.testing.assert_allclose(measured.mean, mean, rtol=1e-12)
        np.testing.assert_allclose(measured.std, np.sqrt(squares / (len(images) - 1)))
    again = get_dataset("Folder", root, target_size=8)
    monkeypatch.setattr("datasets.images.dataset.measure", None)
    assert with_normalization(again, tmp_path / "cache").normalization == measured
    (path,) = (tmp_path / "cache").glob("*.normalization.json")
    path.write_text('{"mean": [1], "std": [0]}')
    monkeypatch.undo()
    assert with_normalization(again, tmp_path / "cache").normalization == measured
    assert json.loads(path.read_text())["mean"] == list(measured.mean)


@pytest.mark.parametrize("damage", [b"no image", None])
def test_test_images_are_not_kept_and_do_not_prevent_training(tmp_path, damage):
    write_folder(tmp_path / "data", train=6, test=2)
    image = next((tmp_path / "data/test").glob("*/*.png"))
    image.unlink()
    image.write_bytes(damage) if damage else image.symlink_to("nowhere")
    options = {"val_fraction": 0.5, "target_size": 32, "crop_size": 28}
    dataset = get_dataset("Folder", tmp_path / "data", **options)
    kept = with_cache(with_normalization(dataset, "off"), tmp_path / "cache")
    (path,) = files(tmp_path / "cache")
    assert "-train-" in path.name and kept.test.samples is dataset.test.samples
    assert kept.train.samples is kept.validation.samples and len(kept.validation[0]) == 32
    with pytest.raises(UserError, match=image.name):
        kept.test[dataset.test.names.index(str(image.relative_to(tmp_path / "data")))]


def test_one_gigantic_image_among_many_is_counted(tmp_path, monkeypatch, caplog):
    """Count the sizes in all headers: a sample would miss it and exhaust the memory."""
    paths = [tmp_path / f"{i}.png" for i in range(220)]
    for path in paths:
        path.hardlink_to(paths[0]) if path != paths[0] else Image.new("RGB", (60, 45)).save(path)
    paths[101].unlink()
    Image.new("RGB", (16000, 1)).save(paths[101])
    selection = choice._Selection(choice.FileImages(paths), np.arange(220), 45)
    exact = 219 * 45 * 60 * 3 + 45 * (45 * 16000) * 3
    assert sum(selection.sizes()) == exact
    monkeypatch.setattr(choice, "available_memory", lambda: exact)
    caplog.set_level("INFO")
    assert choice._fit([selection], "ram")
    assert "about 99 MB" in caplog.text
    monkeypatch.setattr(choice, "available_memory", lambda: exact - 1)
    with pytest.raises(UsageError, match=r"--cache ram: .* more than the 0\.1 GB"):
        choice._fit([selection], "ram")
    assert not choice._fit([selection], "auto")
    assert "need more than half of the 0.1 GB" in caplog.text


def test_images_that_do_not_fit_are_not_all_looked_at(tmp_path, monkeypatch):
    looked_at = []
    monkeypatch.setattr(
        choice, "image_size", lambda path, _: (looked_at.append(path), (100, 100))[1]
    )
    monkeypatch.setattr(choice, "available_memory", lambda: 10 * 100 * 100 * 3)
    selection = choice._Selection(choice.FileImages(range(1000)), np.arange(1000), None)
    assert not choice._fit([selection], "auto")
    assert len(looked_at) == 6


def test_a_planted_normalization_is_measured_again(tmp_path):
    root, folder = write_classes(tmp_path / "data"), tmp_path / "cache"
    measured = with_normalization(get_dataset("Folder", root), folder).normalization
    (path,) = folder.glob("*.normalization.json")
    path.write_text('{"mean": [1, 2, 3], "std": [1, 2, 3]}')
    path.chmod(0o666)
    assert with_normalization(get_dataset("Folder", root), folder).normalization == measured
    assert path.stat().st_mode & 0o777 == 0o644
