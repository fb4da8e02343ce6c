"""Finding image files, and reading them in batches."""

import os
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.images.finding import find_images
from datasets.images.unlabeled import image_batches, image_reader
from tests.fake_data import write_image
from tests.permissions import folder_for_all, ordinary_user
from utils import UsageError, UserError


def names(found, root: Path) -> list[str]:
    return [str(path.relative_to(root)) for path in found.files]


@pytest.fixture
def tree(tmp_path):
    for name in ("b.png", "a.JPG", "notes.txt", ".hidden.png", "z/2.png", "z/10.png", ".git/x.png"):
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "tree"


def test_files_of_a_folder_come_first_and_by_name(tree):
    found = find_images([tree])
    assert names(found, tree) == ["a.JPG", "b.png", "z/10.png", "z/2.png"]
    assert [path.name for path in found.skipped] == [
        ".hidden.png",
        "notes.txt",
    ]  # not those in hidden folders
    assert not found.unreadable


def test_arguments_keep_their_order_and_files_need_no_suffix(tree):
    found = find_images([tree / "z", tree / "notes.txt", tree / ".hidden.png", tree / "z/2.png"])
    assert names(found, tree) == ["z/10.png", "z/2.png", "notes.txt", ".hidden.png", "z/2.png"]


def test_links_are_followed_but_not_in_circles(tree, tmp_path):
    write_image(tmp_path / "elsewhere/c.png")
    (tree / "z/up").symlink_to(tree)
    (tree / "y").symlink_to(tmp_path / "elsewhere")
    (tree / "z/again").symlink_to(tmp_path / "elsewhere")
    (tree / "c.png").symlink_to(tmp_path / "elsewhere/c.png")
    expected = ["a.JPG", "b.png", "c.png", "y/c.png", "z/10.png", "z/2.png"]
    assert names(find_images([tree]), tree) == expected


def test_a_link_to_nothing_is_a_missing_image_and_a_pipe_none(tree):
    (tree / "gone.png").symlink_to(tree / "nowhere.png")
    os.mkfifo(tree / "pipe.png")
    assert names(find_images([tree]), tree)[:3] == ["a.JPG", "b.png", "gone.png"]
    with pytest.raises(UsageError, match=r"pipe\.png is neither a file nor a folder"):
        find_images([tree / "pipe.png"])


def test_nothing_to_find(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UsageError, match=r"no images in .*\.jpg .*\.png"):
        find_images([tmp_path])
    with pytest.raises(UsageError, match=r"missing does not exist"):
        find_images([tmp_path / "missing"])


def test_an_unlistable_folder_is_reported(tree, monkeypatch):
    listing = os.scandir

    def scandir(path):
        if Path(path).name == "z":
            raise PermissionError(13, "Permission denied", str(path))
        return listing(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found = find_images([tree])
    assert names(found, tree) == ["a.JPG", "b.png"]
    (error,) = found.unreadable
    assert str(error) == f"cannot read the folder {tree / 'z'}: Permission denied"


def test_unreadable_folders_are_reported_and_the_rest_is_found():
    with folder_for_all() as folder:
        write_image(folder / "a.png")
        write_image(folder / "listed/b.png")
        write_image(folder / "listed/below/c.png")
        write_image(folder / "closed/d.png")
        (folder / "listed").chmod(0o444)
        (folder / "closed").chmod(0)
        with ordinary_user():
            found = find_images([folder])
            # The image in the folder is known by name; reading it fails.
            assert names(found, folder) == ["a.png", "listed/b.png"]
            assert sorted(map(str, found.unreadable)) == [
                f"cannot read the folder {folder / name}: Permission denied"
                for name in ("closed", "listed/below")
            ]
            with pytest.raises(UserError, match=r"b\.png"):
                image_reader(8, 8, 3)(folder / "listed/b.png")
            for path in (folder / "closed/d.png", folder / "listed/below"):
                with pytest.raises(UsageError, match=f"cannot read {path}: Permission denied"):
                    find_images([path])


def test_names_that_are_too_long(tmp_path):
    with pytest.raises(UsageError, match=r"cannot read .*n\.png: File name too long"):
        find_images([tmp_path / (300 * "n" + ".png")])


def test_reading_resizes_the_shorter_side_and_cuts_the_centre(tmp_path):
    path = write_image(tmp_path / "a.png", size=(30, 40))
    expected = np.asarray(Image.open(path).resize((27, 20), Image.Resampling.BILINEAR))

    np.testing.assert_array_equal(image_reader(20, 16, 3)(path), expected[2:18, 5:21])
    gray = image_reader(30, 30, 1)(path)
    shown = np.asarray(Image.open(path).convert("L"))[:, 5:35, np.newaxis]
    np.testing.assert_array_equal(gray, shown)


@pytest.mark.parametrize("size", [(3000, 1), (2, 5000)])
def test_long_and_narrow_images_are_read_as_in_training(tmp_path, size):
    path = tmp_path / "line.png"
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).save(path)
    assert image_reader(32, 32, 3)(path).shape == (32, 32, 3)
    found = image_reader(512, 448, 3)(path)
    # What is cut out of the middle shows so few pixels that the others do not matter.
    part = pixels[:, 1480:1520] if size[1] == 1 else pixels[2480:2520]
    short = min(part.shape[:2])
    shown = tuple(512 * side // short for side in (part.shape[1], part.shape[0]))
    whole = np.asarray(Image.fromarray(part).resize(shown, Image.Resampling.BILINEAR))
    top, left = ((side - 448) // 2 for side in whole.shape[:2])
    np.testing.assert_allclose(found, whole[top : top + 448, left : left + 448], atol=1)


def numbered(path: Path) -> np.ndarray:
    """Stand in for reading; some files are damaged."""
    number = int(path.name)
    if number % 4 == 3:
        raise UserError(f"cannot read {number}")
    return np.full((2, 2, 1), number, np.uint8)


@pytest.mark.parametrize("workers", [1, 5])
@pytest.mark.parametrize("count", [0, 1, 4, 8, 23])
def test_batches_are_full_in_order_and_without_gaps(count, workers):
    paths = [Path(str(i)) for i in range(count)]
    batches = list(image_batches(paths, numbered, 3, workers))

    good = [i for i in range(count) if i % 4 != 3]
    sizes = [len(batch.paths) for batch in batches if batch.paths]
    assert sizes == [3] * (len(good) // 3) + [len(good) % 3] * bool(len(good) % 3)
    assert [int(path.name) for batch in batches for path in batch.paths] == good
    for batch in batches:
        values = [int(path.name) for path in batch.paths]
        assert [image.ravel().tolist() for image in batch.samples] == [[v] * 4 for v in values]
    errors = [str(error) for batch in batches for error in batch.damaged]
    assert errors == [f"cannot read {i}" for i in range(3, count, 4)]


def test_reading_ahead_is_bounded_and_ends_with_the_reader():
    read, lock = [], threading.Lock()

    def reader(path: Path) -> np.ndarray:
        with lock:
            read.append(path)
        return np.zeros((1, 1, 1), np.uint8)

    batches = image_batches([Path(str(i)) for i in range(1000)], reader, 10, workers=2)
    next(batches)
    batches.close()
    assert 10 <= len(read) <= 10 + 2 * 10 + 2 + 1


def test_programming_errors_are_not_reported_as_damaged_files():
    def reader(path: Path) -> np.ndarray:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(image_batches([Path("1")], reader, 2))
