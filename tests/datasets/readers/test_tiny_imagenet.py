"""Tiny-ImageNet in its official layout, fake and real."""

import tarfile
from pathlib import Path

import numpy as np
import pytest

from datasets import get_dataset
from tests.fake_data import write_lines, write_tiny_imagenet
from utils import UserError

SHARED = Path(__file__).parents[4] / "shared/data/tiny-imagenet"
PACKS = [SHARED / f"tiny-imagenet-{part}.tar.xz" for part in ("val", "train50")]


def test_synsets_are_the_labels_and_sorted(tmp_path, caplog):
    dataset = get_dataset("Tiny-ImageNet", write_tiny_imagenet(tmp_path))
    assert dataset.labels == ("n01440000", "n01440004", "n01440007")
    assert dataset.class_names == ("thing 0", "thing 2", "thing 1")
    assert np.bincount(dataset.train.labels).tolist() == [4, 4, 4]
    assert np.bincount(dataset.test.labels).tolist() == [2, 2, 2]
    rows = [
        line.split() for line in (tmp_path / "val/val_annotations.txt").read_text().splitlines()
    ]
    synsets = {f"val/images/{name}": synset for name, synset, *_ in rows}
    for split in (dataset.train, dataset.test):
        for name, label in zip(split.names, split.labels, strict=True):
            assert synsets.get(name, name.split("/")[1]) == dataset.labels[label]
    assert caplog.text == ""
    (tmp_path / "words.txt").unlink()
    assert get_dataset("Tiny-ImageNet", tmp_path).class_names == dataset.labels


def test_malformed_annotations_and_missing_folders(tmp_path):
    write_tiny_imagenet(tmp_path)
    write_lines(tmp_path / "wnids.txt", ["n01440000", "n01440004", "n01440007", "n7"])
    with pytest.raises(UserError, match="n7/images"):
        get_dataset("Tiny-ImageNet", tmp_path)
    write_lines(tmp_path / "wnids.txt", ["n01440000", "n01440004"])
    with pytest.raises(UserError, match="no training images: n01440007"):
        get_dataset("Tiny-ImageNet", tmp_path)
    for line in ("val_1.JPEG", "a/val_1.JPEG\tn01440000"):
        write_lines(tmp_path / "val/val_annotations.txt", [line])
        with pytest.raises(UserError, match=r"val_annotations\.txt:1: expected an image and its"):
            get_dataset("Tiny-ImageNet", tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(not all(map(Path.is_file, PACKS)), reason=f"the images are not in {SHARED}")
def test_real_images_of_two_classes(tmp_path):
    """The official layout, reduced to two classes, as unpacking all of it takes long."""
    with tarfile.open(PACKS[0]) as archive:
        text = archive.extractfile("tiny-imagenet-200/val/val_annotations.txt").read().decode()
    rows = [line for line in text.splitlines() if line.split("\t")[1] in ("n01443537", "n12267677")]
    synsets = ["n12267677", "n01443537"]
    wanted = {f"tiny-imagenet-200/val/images/{line.split()[0]}" for line in rows}
    for pack in PACKS:
        with tarfile.open(pack) as archive:
            for member in archive:
                if member.name in wanted or any(f"/train/{s}/" in member.name for s in synsets):
                    archive.extract(member, tmp_path, filter="data")
    root = tmp_path / "tiny-imagenet-200"
    write_lines(root / "val/val_annotations.txt", rows)
    write_lines(root / "wnids.txt", synsets)
    (root / "words.txt").write_bytes((SHARED / "words.txt").read_bytes())
    dataset = get_dataset("Tiny-ImageNet", root)
    assert dataset.class_names == ("goldfish", "acorn")
    assert np.bincount(dataset.train.labels).tolist() == [50, 50]
    assert np.bincount(dataset.test.labels).tolist() == [50, 50]
    assert dataset.train[0].shape == dataset.test[99].shape == (64, 64, 3)
