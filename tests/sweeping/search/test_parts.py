"""Parts of a folder for a search: held-out images, skipped files, links."""

import hashlib
import shutil
from collections import Counter

import numpy as np
import pytest

from datasets import get_dataset
from sweeping.search.parts import HELD_OUT, LEFT_OUT, TEST, TRAIN, divide, write_links
from tests.fake_data import write_image
from utils import UsageError, UserError

IMAGES = {"cat": 10, "dog": 15, "eel": 5}


@pytest.fixture
def photos(tmp_path):
    for i, (label, count) in enumerate(IMAGES.items()):
        for j in range(count):
            write_image(tmp_path / f"photos/{label}/{j:02d}.png", 100 * i + j, (6, 6))
    return tmp_path / "photos"


def parts_of(photos, damaged=(), folds=None, fraction=0.25, seed=0):
    dataset = get_dataset("Folder", photos, subset_seed=seed)
    return divide(dataset, photos, damaged, folds, fraction, seed)


def by_part(parts):
    return {
        name: Counter(m.label for m in parts.of(name)) for name in {m.part for m in parts.members}
    }


def test_every_image_has_one_part_and_the_test_part_is_that_of_the_folder(photos):
    parts = parts_of(photos)
    names = [member.file for member in parts.members]
    assert len(set(names)) == len(names) == sum(IMAGES.values())
    # A fifth for testing; of the rest a quarter held out, at least one.
    assert by_part(parts) == {
        TEST: {"cat": 2, "dog": 3, "eel": 1},
        HELD_OUT: {"cat": 2, "dog": 3, "eel": 1},
        TRAIN: {"cat": 6, "dog": 9, "eel": 3},
    }
    dataset = get_dataset("Folder", photos, subset_seed=0)
    assert {m.file for m in parts.of(TEST)} == set(dataset.test.names)
    assert parts_of(photos) == parts and parts_of(photos, seed=1) != parts


def test_each_fold_is_held_out_once_and_classes_are_spread_evenly(photos):
    parts = parts_of(photos, folds=4)
    assert parts.folds == ("fold 1", "fold 2", "fold 3", "fold 4")
    training = {m.file for m in parts.for_winner()["train"]}
    seen = []
    for fold in parts.folds:
        search = parts.for_search(fold)
        held_out = [m.file for m in search["test"]]
        assert {m.file for m in search["train"]} == training - set(held_out)
        seen += held_out
    assert sorted(seen) == sorted(training)
    for label, count in {"cat": 8, "dog": 12, "eel": 4}.items():
        sizes = [sum(m.label == label for m in parts.of(fold)) for fold in parts.folds]
        assert sum(sizes) == count and max(sizes) - min(sizes) <= 1


def test_more_folds_than_images_of_a_class_are_refused(photos):
    with pytest.raises(UsageError, match="--folds 5: class eel has only 4 training images"):
        parts_of(photos, folds=5)


def test_damaged_files_and_copies_are_left_out(photos):
    first = parts_of(photos)
    tested, trained = first.of(TEST)[0], [m for m in first.of(TRAIN) if m.label == "dog"]
    shutil.copy(photos / tested.file, photos / trained[0].file)
    shutil.copy(photos / trained[1].file, photos / trained[2].file)
    damaged = trained[3].file
    parts = parts_of(photos, {damaged})
    reasons = {m.file: m.reason for m in parts.of(LEFT_OUT)}
    pair = {trained[1].file, trained[2].file}
    (copy,) = pair & reasons.keys()
    assert reasons[damaged] == "damaged"
    assert reasons[trained[0].file] == f"copy of {tested.file}"
    assert reasons[copy] == f"copy of {(pair - {copy}).pop()}"
    assert len(reasons) == 3 and tested in parts.of(TEST)


def test_validation_images_of_the_folder_are_those_to_choose_by(tmp_path):
    for i, part in enumerate(("train", "test", "val")):
        for label in ("a", "b"):
            for j in range(3):
                path = tmp_path / part / label / f"{j}.png"
                write_image(path, 100 * i + 10 * ord(label) + j, (5, 5))
    parts = parts_of(tmp_path)
    assert {m.file.split("/")[0] for m in parts.of(HELD_OUT)} == {"val"}
    assert {m.file.split("/")[0] for m in parts.for_winner()["train"]} == {"train", "val"}
    # Same names in different parts do not collide as links.
    write_links(tmp_path / "links", tmp_path, parts.for_winner())
    linked = get_dataset("Folder", tmp_path / "links")
    assert (len(linked.train), len(linked.test)) == (12, 6)


def test_links_show_the_same_images_and_no_test_image_in_the_search(photos, tmp_path):
    parts = parts_of(photos)
    write_links(tmp_path / "search", photos, parts.for_search(HELD_OUT))
    whole, search = get_dataset("Folder", photos), get_dataset("Folder", tmp_path / "search")
    pixels = {
        name: image.tobytes()
        for split in whole.splits.values()
        for name, image in zip(split.names, split, strict=True)
    }
    tested = {pixels[name] for name in whole.test.names}
    for split, members in zip(("train", "test"), parts.for_search(HELD_OUT).values(), strict=True):
        found = getattr(search, split)
        assert sorted(image.tobytes() for image in found) == sorted(pixels[m.file] for m in members)
        assert not tested & {image.tobytes() for image in found}
        labels = Counter(search.labels[i] for i in found.labels)
        assert labels == Counter(m.label for m in members)


@pytest.mark.parametrize(
    ("keep", "damaged", "message"),
    [
        ({"cat": 10}, 0, "has a single class, cat: at least two are required"),
        ({"cat": 10, "dog": 2}, 0, "1 of 2 classes have too few usable images, dog: a class needs"),
        ({"cat": 10, "dog": 10}, 99, "none of its images can be read"),
    ],
)
def test_too_few_images_give_a_one_line_error(photos, keep, damaged, message):
    for path in sorted(photos.glob("*/*")):
        if int(path.stem) >= keep.get(path.parent.name, 0):
            path.unlink()
    for folder in photos.iterdir():
        if not any(folder.iterdir()):
            folder.rmdir()
    names = [path.relative_to(photos).as_posix() for path in sorted(photos.glob("*/*"))]
    with pytest.raises(UserError, match=message):
        parts_of(photos, set(names[:damaged]))


def test_folds_are_those_of_the_order_of_digests(photos):
    parts = parts_of(photos, folds=2)
    cats = [m for m in parts.members if m.label == "cat" and m.part.startswith("fold")]
    cats.sort(key=lambda m: hashlib.sha256(f"fold 0 {m.file}".encode()).digest())
    numbers = [int(m.part.split()[1]) for m in cats]
    assert numbers == (np.arange(len(cats)) % 2 + 1).tolist()
