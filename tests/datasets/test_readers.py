"""Malformed data sets, each of which gives one clear line, and the layouts of folders."""

import os
import pickle

import numpy as np
import pytest
from PIL import Image

from datasets import get_dataset
from datasets.readers import annotations
from tests.fake_data import (
    WRITERS,
    write_cifar100,
    write_classes,
    write_cub,
    write_folder,
    write_image,
    write_lines,
)
from tests.permissions import folder_for_all, ordinary_user
from utils import UsageError, UserError


def change_line(file, number, line):
    def change(root):
        lines = (root / file).read_text().splitlines()
        lines[number - 1 : number] = [] if line is None else [line]
        write_lines(root / file, lines)

    return change


def write(file, content):
    return lambda root: (root / file).write_bytes(content)


def remove(pattern):
    return lambda root: sorted(root.rglob(pattern))[0].unlink()


def change_batch(**changes):
    def change(root):
        content = {b"data": np.zeros((3, 3072), np.uint8), b"fine_labels": [0, 1, 2]}
        content |= {key.encode(): value for key, value in changes.items()}
        (root / "train").write_bytes(pickle.dumps(content))

    return change


BROKEN = {
    "no path": ("CUB", change_line("images.txt", 2, "2"), r"images\.txt:2: .*'2'"),
    "twice": ("CUB", change_line("images.txt", 2, "1 a/b.jpg"), r"images\.txt:2: the id 1"),
    "blank lines count": ("CUB", change_line("images.txt", 4, "\n\n4"), r"images\.txt:6: "),
    "label": ("CUB", change_line("image_class_labels.txt", 3, "3 x"), r"labels\.txt:3: .*'3 x'"),
    "flag": ("NAB", change_line("train_test_split.txt", 1, "5 2"), r"split\.txt:1: .*'5 2'"),
    "no label": ("CUB", change_line("image_class_labels.txt", 3, None), r"labels.*lacks 1.*ids 3"),
    "no flag": ("NAB", change_line("train_test_split.txt", 1, None), r"split.*lacks 1 images"),
    "unknown": ("CUB", change_line("image_class_labels.txt", 3, "99 1"), r"labels.*lacks: 99"),
    "nothing": ("CUB", write("images.txt", b""), r"images\.txt is empty"),
    "binary": ("CUB", write("images.txt", b"\xff\xfe\x00"), r"images\.txt is not a text file"),
    "CUB image": ("CUB", remove("*.jpg"), r"1 images are missing in .*001\.Bird_1"),
    "Cars image": ("Cars", remove("*.jpg"), r"1 images are missing in .*car_ims/000001\.jpg"),
    "Flowers image": ("Flowers", remove("*.jpg"), r"1 images are missing in .*jpg/image_00001"),
    "MIT67 image": ("MIT67Scenes", remove("*.jpg"), r"1 images are missing in .*Images/room_1"),
    "MIT67 line": ("MIT67Scenes", change_line("TestImages.txt", 2, "x.jpg"), r"txt:2: .*'x\.jpg'"),
    "Cars damaged": ("Cars", write("cars_annos.mat", b"text"), r"cars_annos\.mat is not a"),
    "Flowers damaged": ("Flowers", write("setid.mat", b""), r"setid\.mat is not a readable"),
    "no batch": ("CIFAR-10", remove("data_batch_3"), r"not contain CIFAR-10: .*data_batch_3"),
    "batch damaged": ("CIFAR-100", write("train", b"x"), r"train is not a complete pickle"),
    "no data": ("CIFAR-100", write("train", pickle.dumps({b"x": 1})), r"train is not .*'data'"),
    "no dictionary": (
        "CIFAR-100",
        write("train", pickle.dumps([1])),
        r"train does not contain a dict",
    ),
    "pixels": ("CIFAR-100", change_batch(data=np.zeros((3, 5), np.uint8)), r"train: .*\(3, 5\)"),
    "labels": ("CIFAR-100", change_batch(fine_labels=[0, 1]), r"train: expected 3 labels"),
    "no labels": ("CIFAR-100", change_batch(fine_labels=["a", "b", "c"]), r"train: expected 3"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_data_gives_a_one_line_error(case, tmp_path):
    name, damage, message = BROKEN[case]
    root = WRITERS[name](tmp_path)
    get_dataset(name, root)
    damage(root)
    with pytest.raises(UserError, match=message) as caught:
        get_dataset(name, root)
    assert "\n" not in str(caught.value)
    assert caught.value.status == 1


def test_variables_missing_from_matlab_files(tmp_path):
    from scipy.io import savemat

    cars, flowers = WRITERS["Cars"](tmp_path / "a"), WRITERS["Flowers"](tmp_path / "b")
    savemat(cars / "cars_annos.mat", {"annotations": [1, 2], "class_names": ["x"]})
    with pytest.raises(UserError, match="lack relative_im_path"):
        get_dataset("Cars", cars)
    savemat(cars / "cars_annos.mat", {"class_names": ["x"]})
    with pytest.raises(UserError, match="no variable annotations"):
        get_dataset("Cars", cars)
    savemat(flowers / "imagelabels.mat", {"labels": [[1, 2, 3]]})
    with pytest.raises(UserError, match=r"imagelabels\.mat has no label for images"):
        get_dataset("Flowers", flowers)


def test_cifar_written_by_python_3(tmp_path):
    """Keys may be text, and class names may be missing."""
    root = write_cifar100(tmp_path)
    before = get_dataset("CIFAR-100", root)
    content = {"data": before.train.samples.reshape(12, 32 * 32, 3).swapaxes(1, 2).reshape(12, -1)}
    content["fine_labels"] = before.train.labels
    (root / "train").write_bytes(pickle.dumps(content))
    (root / "meta").unlink()
    after = get_dataset("CIFAR-100", root)
    np.testing.assert_array_equal(after.train.samples, before.train.samples)
    np.testing.assert_array_equal(after.train.labels, before.train.labels)
    assert after.class_names == ("0", "1", "2")


def test_annotations_without_class_names(tmp_path):
    root = write_cub(tmp_path)
    (root / "classes.txt").unlink()
    assert get_dataset("CUB", root).class_names == ("1", "2", "3")


def test_byte_order_marks_and_windows_line_ends(tmp_path):
    root = write_cub(tmp_path)
    expected = get_dataset("CUB", root).train.names
    for path in root.glob("*.txt"):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert get_dataset("CUB", root).train.names == expected


# Folders.


def test_folders_for_training_and_testing(tmp_path):
    root = write_folder(tmp_path)
    write_lines(root / "train" / "kind_1" / "notes.txt", ["no image"])
    write_lines(root / "train" / "kind_1" / "._0.jpg", ["no image either"])
    write_image(root / "train" / "kind_1" / "UPPER.JPG")
    dataset = get_dataset("Folder", root)
    assert dataset.labels == dataset.class_names == ("kind_1", "kind_2", "kind_3")
    assert (len(dataset.train), len(dataset.test)) == (13, 6)
    assert "train/kind_1/UPPER.JPG" in dataset.train.names
    for split, part in ((dataset.train, "train"), (dataset.test, "test")):
        for label, name in zip(split.labels, split.names, strict=True):
            assert name.startswith(f"{part}/{dataset.labels[label]}/")


def test_lists_come_before_folders(tmp_path):
    root = write_folder(tmp_path)
    write_image(root / "x" / "a b.jpg")
    write_image(root / "y" / "c.jpg")
    write_lines(root / "train.txt", ["y/c.jpg", "x/a b.jpg"])
    write_lines(root / "test.txt", ["x/a b.jpg"])
    dataset = get_dataset("Folder", root)
    assert dataset.labels == ("x", "y")
    assert list(dataset.train.names) == ["y/c.jpg", "x/a b.jpg"]
    assert dataset.train.labels.tolist() == [1, 0]
    (root / "test.txt").unlink()
    with pytest.raises(UserError, match=r"no test\.txt"):
        get_dataset("Folder", root)


@pytest.mark.parametrize(
    ("fraction", "tested"), [(None, 2), (0.3, 3), (0.5, 5), (0.01, 1), (0.99, 9)]
)
def test_a_part_of_each_class_is_for_testing(tmp_path, fraction, tested):
    root = write_classes(tmp_path, images=10)
    dataset = get_dataset("Folder", root, test_fraction=fraction)
    assert np.bincount(dataset.test.labels).tolist() == [tested] * 3
    assert np.bincount(dataset.train.labels).tolist() == [10 - tested] * 3
    assert len({*dataset.train.names, *dataset.test.names}) == 30


def test_the_random_split_depends_on_the_seed_only(tmp_path):
    root = write_classes(tmp_path, images=10)
    splits = [get_dataset("Folder", root, subset_seed=seed).test.names for seed in (0, 0, 1)]
    assert splits[0] == splits[1] != splits[2]


def test_folders_that_cannot_be_used(tmp_path):
    root = write_classes(tmp_path / "one", images=1)
    with pytest.raises(UserError, match=r"class kind_1 .* fewer than 2 images"):
        get_dataset("Folder", root)
    (root / "empty").mkdir()
    with pytest.raises(UserError, match="empty contains no images"):
        get_dataset("Folder", root)
    root = write_folder(tmp_path / "half", test=0)
    with pytest.raises(UserError, match="both folders, train and test"):
        get_dataset("Folder", root)
    (root / "test").mkdir()
    with pytest.raises(UserError, match="no subfolders"):
        get_dataset("Folder", root)


def test_class_names_must_be_utf_8(tmp_path):
    root = write_classes(tmp_path)
    os.rename(root / "kind_1", os.fsencode(root) + b"/V\xf6gel")
    with pytest.raises(UserError, match=r"class 'V\\udcf6gel' in .*: rename it, in UTF-8"):
        get_dataset("Folder", root)


def test_images_of_all_formats_count(tmp_path):
    for label in "ab":
        (tmp_path / label).mkdir()
        for suffix in ("jpg", "PNG", "tiff", "webp", "jp2", "avif"):
            Image.new("RGB", (9, 9)).save(tmp_path / label / f"image.{suffix}")
    dataset = get_dataset("Folder", tmp_path)
    assert len(dataset.train) + len(dataset.test) == 12


def test_folders_that_cannot_be_read():
    with folder_for_all() as parent:
        folders = write_classes(parent / "folders")
        cub = write_cub(parent / "cub")
        with ordinary_user():
            assert get_dataset("Folder", folders)
        for name, root, closed in (
            ("Folder", folders, folders / "kind_1"),
            ("Folder", folders, folders),
            ("CUB", cub, cub),
        ):
            closed.chmod(0)
            with ordinary_user(), pytest.raises(UserError) as raised:
                get_dataset(name, root)
            assert str(raised.value) == f"cannot read the folder {closed}: Permission denied"
            closed.chmod(0o755)


def test_a_fixed_split_refuses_a_fraction(tmp_path):
    with pytest.raises(UsageError, match="fixed split"):
        get_dataset("Folder", write_folder(tmp_path), test_fraction=0.5)


def test_the_search_for_images_ends_when_all_folders_are_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(annotations, "_MISSING_FOLDERS", 3)
    names = [f"{i // 2}/{i}.png" for i in range(10)]
    with pytest.raises(UserError, match="at least 7 images are missing"):
        annotations.file_split(tmp_path, names, range(10))
