"""The lists in CUB-splits: drawn by the rule, nested, and found by CUB-subX."""

import csv
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from datasets import get_dataset
from datasets.readers.cub_splits import PUBLISHED
from tests.fake_data import write_cub, write_image, write_lines

ROOT = Path(__file__).parents[3]
LIST = ROOT / "CUB-splits/training_images.txt"
FACTS = ROOT.parent / "shared/facts/cub_images.csv"
CUB50 = ROOT.parent / "shared/data/cub50-256px/CUB_200_2011"

with_facts = pytest.mark.skipif(not FACTS.is_file(), reason=f"there is no {FACTS}")
with_cub = pytest.mark.skipif(not CUB50.is_dir(), reason=f"there is no {CUB50}")


@pytest.fixture(scope="module")
def listed():
    return LIST.read_text().splitlines()


def trained_on(dataset):
    """Names of the training images."""
    return list(dataset.train.names)


def test_every_200_lines_hold_one_image_of_each_class(listed):
    assert len(listed) == len(set(listed)) == 25 * 200
    classes = [int(path.split(".")[0]) for path in listed]
    assert classes == 25 * list(range(1, 201))


@with_facts
def test_the_lists_are_what_the_rule_draws_from_the_official_training_images(listed):
    with open(FACTS, newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["is_train"] == "1"]
    expected = {}
    for label in range(1, 201):
        paths = sorted(row["path"] for row in rows if row["class_id"] == str(label))
        seeds = [zlib.crc32(b"subset"), 0, zlib.crc32(str(label).encode())]
        order = np.random.default_rng(seeds).permutation(len(paths))
        expected[label] = [paths[i] for i in order[:25]]
    assert listed == [expected[label][rank] for rank in range(25) for label in range(1, 201)]


def lists_only(root, count, listed):
    """Classes 3 and 7 of CUB: ``count`` listed images and a test image of each, in mixed order."""
    paths = [path for path in listed if path[:3] in ("003", "007")]
    rows = [(path, 1) for path in paths[: 2 * count]]
    rows += [("003.A/A_9999.jpg", 0), ("007.B/B_9999.jpg", 0)]
    rows = [rows[i] for i in np.random.default_rng(1).permutation(len(rows))]
    for i, (path, _) in enumerate(rows):
        write_image(root / "images" / path, i, size=(4, 4))
    write_lines(root / "images.txt", (f"{i} {path}" for i, (path, _) in enumerate(rows)))
    write_lines(
        root / "image_class_labels.txt", (f"{i} {int(p[:3])}" for i, (p, _) in enumerate(rows))
    )
    write_lines(root / "train_test_split.txt", (f"{i} {flag}" for i, (_, flag) in enumerate(rows)))
    return root


def test_a_folder_with_some_classes_gets_their_share_of_the_list(tmp_path, listed, caplog):
    root = lists_only(tmp_path, 6, listed)
    order = [line.split()[1] for line in (root / "images.txt").read_text().splitlines()]
    for per_class in (1, 2, 5):
        wanted = {path for path in listed[: 200 * per_class] if path[:3] in ("003", "007")}
        dataset = get_dataset(f"CUB-sub{per_class}", root)
        assert trained_on(dataset) == [f"images/{path}" for path in order if path in wanted]
        assert dataset.repeats == 30 // per_class
        assert len(dataset.test) == 2
    assert "general rule" not in caplog.text


def test_another_seed_draws_other_images(tmp_path, listed):
    root = lists_only(tmp_path, 6, listed)
    official = [set(trained_on(get_dataset("CUB-sub2", root, subset_seed=s))) for s in range(4)]
    assert all(len(images) == 4 for images in official)
    assert len({frozenset(images) for images in official}) > 1


def test_other_images_than_cubs_are_drawn_by_the_rule_in_the_order_of_their_paths(tmp_path, caplog):
    root = write_cub(tmp_path, classes=2, train=6)
    official = [name.removeprefix("images/") for name in get_dataset("CUB", root).train.names]
    expected = set()
    for label in (1, 2):
        paths = sorted(path for path in official if path.startswith(f"{label:03d}"))
        seeds = [zlib.crc32(b"subset"), 0, zlib.crc32(str(label).encode())]
        expected |= {paths[i] for i in np.random.default_rng(seeds).permutation(6)[:2]}
    dataset = get_dataset("CUB-sub2", root)
    assert trained_on(dataset) == [f"images/{path}" for path in official if path in expected]
    assert "general rule" in caplog.text


@with_cub
@with_facts
def test_the_first_50_classes_of_the_real_cub(listed):
    with open(FACTS, newline="") as file:
        training = {row["path"] for row in csv.DictReader(file) if row["is_train"] == "1"}
    seen = set()
    for per_class in PUBLISHED:
        dataset = get_dataset(f"CUB-sub{per_class}", CUB50)
        images = {name.removeprefix("images/") for name in trained_on(dataset)}
        assert seen < images <= training
        assert Counter(path[:3] for path in images) == {f"{i:03d}": per_class for i in range(1, 51)}
        assert images == {path for path in listed[: 200 * per_class] if int(path[:3]) <= 50}
        assert len(dataset.test) == 1389
        seen = images
    # The rule gives what the list has, and goes on from there.
    beyond = {name.removeprefix("images/") for name in trained_on(get_dataset("CUB-sub26", CUB50))}
    assert seen < beyond and len(beyond) == 26 * 50
