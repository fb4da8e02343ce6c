"""The splits of GEM and VIPriors: training, validation and test images."""

import tarfile
from pathlib import Path

import numpy as np
import pytest

from datasets import get_dataset
from tests.fake_data import (
    write_cifar10,
    write_cub,
    write_gem_clamm,
    write_gem_cub,
    write_gem_eurosat,
    write_lines,
    write_vipriors,
)
from utils import UsageError, UserError

SHARED = Path(__file__).parents[4] / "shared/data"

PARTS = ("train", "trainval")


def listed(path, suffix=".jpg"):
    return [f"images/{line.split()[0]}{suffix}" for line in path.read_text().splitlines()]


def test_lists_define_training_validation_and_test_images(tmp_path):
    write_gem_cub(tmp_path, train=6)
    joined, split = (get_dataset(f"GEM-CUB{part}", tmp_path) for part in ("", "_train1"))

    assert joined.validation is None and list(joined.train.names) == listed(
        tmp_path / "trainval0.txt"
    )
    assert {*split.train.names} == {*listed(tmp_path / "train1.txt")}
    assert {*split.validation.names} == {*listed(tmp_path / "val1.txt")}
    assert {*split.test.names} == {*listed(tmp_path / "test0.txt")}
    assert joined.labels == (1, 2, 3) and joined.class_names[0] == "001.Bird_1"
    for name, label in zip(joined.train.names, joined.train.labels, strict=True):
        assert joined.class_names[label] in name


def test_a_separate_test_list_takes_precedence(tmp_path):
    write_gem_cub(tmp_path)
    write_lines(tmp_path / "test1.txt", (tmp_path / "test0.txt").read_text().splitlines()[:1])

    assert len(get_dataset("GEM-CUB_train1", tmp_path).test) == 1


def test_classes_without_their_folder_are_left_out(tmp_path, caplog):
    root = write_gem_cub(tmp_path)
    (root / "images/002.Bird_2").rename(root / "images/other")

    assert get_dataset("GEM-CUB", root).labels == (1, 3)
    assert "1 of 3 folders are not in" in caplog.text and "002.Bird_2" in caplog.text
    (root / "images").rename(root / "elsewhere")
    with pytest.raises(UserError, match=r"trainval0\.txt: none of its images are in"):
        get_dataset("GEM-CUB", root)


def test_manuscripts_are_gray_and_never_mirrored(tmp_path):
    dataset = get_dataset("GEM-CLaMM", write_gem_clamm(tmp_path))

    assert dataset.train[0].shape[2] == 1 and dataset.preprocessing.flip == 0
    assert dataset.class_names == ("Caroline", "Cursiva", "Half_uncial")


def test_every_split_of_eurosat_has_a_test_list_of_its_own(tmp_path):
    pytest.importorskip("tifffile", reason="needs the package tifffile")
    root = write_gem_eurosat(tmp_path)
    (root / "test0.txt").rename(root / "test1.txt")
    dataset = get_dataset("GEM-EuroSAT_train1", root)

    assert dataset.input_shape == (64, 64, 13)
    for kind in ("train", "validation", "test"):
        split, path = dataset.splits[kind], root / f"{kind.removesuffix('idation')}1.txt"
        assert list(split.names) == listed(path, ".tif")
        labels = [int(line.split()[1]) for line in path.read_text().splitlines()]
        assert [dataset.labels[c] for c in split.labels] == labels
    assert dataset.labels == (0, 1, 2)
    assert dataset.class_names == ("Land_1", "Land_2", "Land_3")
    with pytest.raises(UserError, match=r"not contain GEM-EuroSAT: there is no trainval2\.txt"):
        get_dataset("GEM-EuroSAT_trainval2", root)
    with pytest.raises(UsageError, match="of GEM-EuroSAT have 13 channels"):
        get_dataset("GEM-EuroSAT_train1-caffe", root)


@pytest.mark.parametrize("part", ["train3", "test0", "trainval"])
def test_unknown_splits_are_refused(part, tmp_path):
    with pytest.raises(UsageError, match=rf"GEM-CUB_{part}: the splits are GEM-CUB_train0 to"):
        get_dataset(f"GEM-CUB_{part}", write_cub(tmp_path))


@pytest.mark.parametrize(
    ("part", "train", "validation"),
    [
        ("_train0", range(30), range(30, 50)),
        ("_train2", range(100, 130), range(130, 150)),
        ("_trainval1", range(50, 100), None),
        ("", range(50), None),
    ],
)
def test_splits_of_cifar_go_by_the_order_within_a_class(part, train, validation, tmp_path):
    """The classes take turns here, so that the image 3 k + label is the k-th of its class."""
    dataset = get_dataset(f"GEM-CIFAR-10{part}", write_cifar10(tmp_path, train=160))

    for split, wanted in ((dataset.train, train), (dataset.validation, validation)):
        if wanted is None:
            assert split is None
            continue
        expected = [3 * k + label for k in wanted for label in range(3)]
        assert list(map(int, split.names)) == expected
        assert split.labels.tolist() == [0, 1, 2] * len(wanted)
        whole = get_dataset("CIFAR-10", tmp_path).train
        np.testing.assert_array_equal(split[-1], whole[expected[-1]])
    assert len(dataset.test) == 6


def published_lists(folder: Path) -> Path:
    """Unpack the lists of GEM, a folder for each of its data sets."""
    archive = SHARED / "gem-splits/gem-splits.tar.xz"
    if not archive.is_file():
        pytest.skip("needs GEM's lists beside the repository")
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")
    return folder


def test_published_lists(tmp_path):
    images = SHARED / "cub50-256px/CUB_200_2011"
    if not images.is_dir():
        pytest.skip("needs a part of the real CUB beside the repository")
    published_lists(tmp_path)
    (tmp_path / "cub/images").symlink_to(images / "images")
    official = get_dataset("CUB", images)
    joined, split = (get_dataset(f"GEM-CUB{p}", tmp_path / "cub") for p in ("", "_train2"))

    assert {*joined.train.names} == {*official.train.names}
    assert {*joined.test.names} == {*official.test.names}
    assert (len(split.train), len(split.validation)) == (50 * 20, 500)
    assert joined.labels == official.labels and joined.class_names == official.class_names


def test_published_lists_of_eurosat(tmp_path):
    pytest.importorskip("tifffile", reason="needs the package tifffile")
    root = published_lists(tmp_path) / "eurosat"
    folder = root / "images/SeaLake"
    folder.mkdir(parents=True)
    for number in range(1, 3001):  # no image is read
        (folder / f"SeaLake_{number}.tif").touch()
    split, joined = (get_dataset(f"GEM-EuroSAT_{p}2", root) for p in PARTS)

    counts = [len(part) for part in (*split.splits.values(), joined.train)]
    assert counts == [30, 20, 1950, 50]
    assert {*joined.train.names} == {*split.train.names, *split.validation.names}
    assert split.class_names == ("SeaLake",) and split.labels == (9,)


def test_published_lists_of_isic(tmp_path):
    root = published_lists(tmp_path) / "isic2018"
    (root / "images").mkdir()
    for file in ("trainval1", "test1"):
        for path in listed(root / f"{file}.txt"):
            (root / path).touch()  # no image is read
    split, joined = (get_dataset(f"GEM-ISIC_{p}1", root) for p in PARTS)

    counts = [len(part) for part in (*split.splits.values(), joined.train)]
    assert counts == [7 * 50, 7 * 30, 1944, 7 * 80]
    # The challenge has 327, 115 and 142 images of the three rare classes.
    rare = {"AKIEC": 327, "DF": 115, "VASC": 142}
    labels = [*joined.train.labels, *joined.test.labels]
    assert {n: labels.count(joined.class_names.index(n)) for n in rare} == rare


def test_vipriors_trains_on_both_lists_or_holds_out_the_second(tmp_path):
    write_vipriors(tmp_path)
    split, joined = (get_dataset(f"VIPriors{part}", tmp_path) for part in ("", "_trainval"))

    def names(*files):
        lines = [line for f in files for line in (tmp_path / f).read_text().splitlines()]
        return [f"ILSVRC2012_img_train/{line}" for line in lines]

    assert list(split.train.names) == names("train.txt")
    assert list(split.validation.names) == names("val.txt")
    assert list(joined.train.names) == names("train.txt", "val.txt")
    assert joined.validation is None
    assert [name.split("/")[0] for name in split.test.names] == 6 * ["ILSVRC2012_img_val"]
    with pytest.raises(UsageError, match="there are VIPriors and VIPriors_trainval"):
        get_dataset("VIPriors_val", tmp_path)
