"""Folders of images: accepted files, skipped files, splits."""

import hashlib
import shutil
import unicodedata

import numpy as np
import pytest

from datasets import get_dataset
from datasets.batches import Batches
from datasets.cache.choice import with_cache
from tests.fake_data import write_classes, write_folder, write_image, write_lines
from utils import UsageError, UserError


def test_images_in_subfolders_are_found_and_other_files_named(tmp_path, caplog):
    root = write_folder(tmp_path)
    write_image(root / "train/kind_1/outdoors/in snow/0.png", 50)
    write_image(root / "test/kind_2/outdoors/1.png", 51)
    for name in ("train/kind_1/x.heic", "train/kind_2/outdoors/notes.txt", "train/kind_1/.hidden"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).touch()
    write_image(root / "train/loose.png")
    dataset = get_dataset("Folder", root)
    assert "train/kind_1/outdoors/in snow/0.png" in dataset.train.names
    assert "test/kind_2/outdoors/1.png" in dataset.test.names
    assert (len(dataset.train), len(dataset.test)) == (13, 7)
    assert dataset.labels == ("kind_1", "kind_2", "kind_3")
    index = dataset.train.names.index("train/kind_1/outdoors/in snow/0.png")
    assert dataset.train.labels[index] == 0 and dataset.train[index].shape == (20, 24, 3)
    (warning,) = [text for text in caplog.messages if "left out" in text]
    assert warning.startswith(
        f"3 files in {root / 'train'} are left out: in no class, or not images"
    )
    assert warning.endswith("loose.png, kind_1/x.heic, kind_2/outdoors/notes.txt")


def test_folders_that_only_hold_folders_are_classes_too(tmp_path):
    for label in "ab":
        for i in range(4):
            write_image(tmp_path / label / f"{i % 2}" / f"{i}.png", ord(label) + i)
    dataset = get_dataset("Folder", tmp_path)
    assert dataset.labels == ("a", "b")
    assert (len(dataset.train), len(dataset.test)) == (6, 2)
    (tmp_path / "c" / "d").mkdir(parents=True)
    with pytest.raises(UserError, match="c contains no images"):
        get_dataset("Folder", tmp_path)


def with_validation(root, lists):
    """Add two validation images of the first two classes."""
    for i in (1, 2):
        write_image(root / "val" / f"kind_{i}" / f"{i}.png", 60 + i, (30, 31))
    if lists:
        for part in ("train", "test", "val"):
            names = [path.relative_to(root).parts for path in sorted((root / part).glob("*/*"))]
            for i, (_, label, file) in enumerate(names):
                write_image(root / label / f"{part}-{file}", 100 * len(part) + i)
            write_lines(root / f"{part}.txt", [f"{label}/{part}-{f}" for _, label, f in names])
    return root


@pytest.mark.parametrize("lists", [False, True])
def test_a_part_for_validation_is_used(tmp_path, lists, caplog):
    dataset = get_dataset("Folder", with_validation(write_folder(tmp_path), lists))
    expected = ["kind_1/val-1.png", "kind_2/val-2.png"] if lists else None
    assert list(dataset.validation.names) == (expected or ["val/kind_1/1.png", "val/kind_2/2.png"])
    assert dataset.validation.labels.tolist() == [0, 1]
    assert (len(dataset.train), len(dataset.test)) == (12, 6)
    assert "1 classes of Folder have no validation images: kind_3" in caplog.text
    assert "not used" not in caplog.text
    restricted = dataset.restrict(["kind_2"])
    assert restricted.validation.names == dataset.validation.names[1:]
    with pytest.raises(UsageError, match=r"--val_fraction 0\.5: Folder has validation images of"):
        get_dataset("Folder", tmp_path, val_fraction=0.5)


def test_classes_that_only_validation_has_cannot_be_learned(tmp_path):
    root = with_validation(write_folder(tmp_path), False)
    write_image(root / "val" / "other" / "0.png")
    with pytest.raises(UserError, match="other"):
        get_dataset("Folder", root)


@pytest.mark.parametrize("where", ["ram", "folder"])
@pytest.mark.parametrize("size", [16, (14, 20)])
def test_cached_validation_images_are_those_of_their_own_files(tmp_path, where, size):
    root = with_validation(write_folder(tmp_path / "data"), False)
    dataset = get_dataset("Folder", root, target_size=size, crop_size=12)
    cached = with_cache(dataset, tmp_path / "cache" if where == "folder" else where)
    for split in ("validation", "test"):
        plain, kept = (
            Batches(getattr(each, split), each.test_transform, 9, workers=0)[0][0]
            for each in (dataset, cached)
        )
        np.testing.assert_array_equal(kept, plain)


def test_other_folders_next_to_the_parts_are_named(tmp_path, caplog):
    root = write_folder(tmp_path)
    write_image(root / "extra" / "kind_1" / "0.png")
    get_dataset("Folder", root)
    assert "Folders beside train, test are not used: extra" in caplog.text


def duplicates(caplog):
    return [text for text in caplog.messages if "same content" in text]


def test_a_file_in_both_lists_is_reported(tmp_path, caplog):
    for seed, name in enumerate(("a/0.png", "a/1.png", "b/0.png", "b/1.png")):
        write_image(tmp_path / name, seed)
    write_lines(tmp_path / "train.txt", ["a/0.png", "b/0.png"])
    write_lines(tmp_path / "test.txt", ["a/0.png", "a/1.png", "b/1.png"])
    get_dataset("Folder", tmp_path)
    (warning,) = duplicates(caplog)
    assert warning.startswith("1 of 3 test images are among the training images, too")
    assert warning.endswith(": a/0.png")


def test_equal_images_in_two_parts_are_counted_whatever_their_name_and_class(tmp_path, caplog):
    root = with_validation(write_folder(tmp_path), False)
    first, second, *_, last = sorted((root / "train").glob("*/*"))
    shutil.copy(first, root / "test/kind_1/copy.png")
    shutil.copy(first, root / "test/kind_2/again.png")
    shutil.copy(last, root / "val/kind_1/copy.png")
    # Of the same size and beginning, but another image.
    content = bytearray(second.read_bytes())
    content[-1] ^= 1
    (root / "test/kind_1/other.png").write_bytes(content)
    assert len(content) > 1024
    get_dataset("Folder", root)
    test, validation = duplicates(caplog)
    assert test.startswith("2 of 9 test images")
    assert test.endswith("test/kind_1/copy.png, test/kind_2/again.png")
    assert validation.startswith("1 of 3 validation images")


def test_different_images_and_files_that_cannot_be_read_are_not_reported(tmp_path, caplog):
    root = write_folder(tmp_path)
    for part in ("train", "test"):
        (root / part / "kind_1" / "gone.png").symlink_to(root / "nowhere.png")
    get_dataset("Folder", root)
    assert not duplicates(caplog)


def test_the_random_split_is_the_documented_one(tmp_path):
    root = write_classes(tmp_path, images=10)
    dataset = get_dataset("Folder", root, test_fraction=0.3, subset_seed=4)
    expected = []
    for label in ("kind_1", "kind_2", "kind_3"):
        names = [f"{label}/{path.name}" for path in (root / label).iterdir()]
        names.sort(key=lambda name: hashlib.sha256(f"test 4 {name}".encode()).digest())
        expected += names[:3]
    assert set(dataset.test.names) == set(expected)


def test_a_new_photo_leaves_the_random_split_as_it_is(tmp_path):
    root = write_classes(tmp_path, images=20)
    before = get_dataset("Folder", root).test.names
    for i in range(8):
        write_image(root / "kind_2" / f"000{i}.png", 70 + i)
        after = get_dataset("Folder", root).test.names
        assert len([name for name in {*before} ^ {*after} if "/000" not in name]) <= 1
        before = after


@pytest.mark.parametrize(
    ("first", "second", "shown"),
    [
        ("caf\u00e9", "cafe\u0301", r"'cafe\\u0301' and 'caf\\xe9'"),
        ("great tit", "great\u00a0tit", r"'great tit' and 'great\\xa0tit'"),
        ("robin", "robin ", "'robin' and 'robin '"),
    ],
)
def test_class_names_that_look_the_same_are_refused(tmp_path, first, second, shown):
    for part, label in (("train", first), ("train", second), ("test", first)):
        write_image(tmp_path / part / label / "0.png")
    message = rf"Folder: the names of the classes {shown} look the same"
    with pytest.raises(UserError, match=message):
        get_dataset("Folder", tmp_path)


def test_one_class_written_in_two_ways_in_two_lists_is_refused(tmp_path):
    names = [unicodedata.normalize(form, "caf\u00e9/0.png") for form in ("NFC", "NFD")]
    for name, part in zip(names, ("train", "test"), strict=True):
        write_image(tmp_path / name)
        write_lines(tmp_path / f"{part}.txt", [name])
    with pytest.raises(UserError, match="look the same"):
        get_dataset("Folder", tmp_path)


def test_names_that_differ_to_the_eye_are_different_classes(tmp_path):
    labels = ["robin", "Robin", "robins", "r obin", "m2", "m\u00b2", "\u00e9", "e"]
    for i, label in enumerate(labels):
        write_image(tmp_path / "train" / label / "0.png", i)
        write_image(tmp_path / "test" / label / "0.png", 50 + i)
    assert get_dataset("Folder", tmp_path).num_classes == len(labels)
