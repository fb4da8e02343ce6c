"""Files of pairs: LFW's form, and pickles of encoded images."""

import io
import os
import pickle

import numpy as np
import pytest
from PIL import Image

from evaluation.verification.pairs import open_pairs, read_bin, read_pairs
from tests.fake_data import write_image, write_lines
from utils import UserError

LINES = ["2\t1", "Ann_B\t1\t2", "Ann_B\t2\tBo\t10", "Bo\t3\t10", "Ann_B\t1\tBo\t3"]


def jpeg(seed):
    """An encoded image."""
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


@pytest.fixture
def faces(tmp_path):
    """Two people whose images are numbered in both ways."""
    write_lines(tmp_path / "pairs.txt", LINES)
    for number in (1, 2):
        write_image(tmp_path / "Ann_B" / f"Ann_B_{number:04d}.png", number)
    for number in (3, 10):
        write_image(tmp_path / "Bo" / f"{number}.png", number)
    return tmp_path


@pytest.mark.parametrize("separator", ["\t", "  "])
@pytest.mark.parametrize("header", [True, False])
def test_pairs_of_a_folder(faces, separator, header):
    lines = [line.replace("\t", separator) for line in LINES[0 if header else 1 :]]
    write_lines(faces / "pairs.txt", lines)
    images, pairs = open_pairs(faces / "pairs.txt", faces)
    names = [path.name for path in images.paths]
    shown = [(names[a], names[b]) for a, b in zip(pairs.first, pairs.second, strict=True)]
    ann, bo = ["Ann_B_0001.png", "Ann_B_0002.png"], ["3.png", "10.png"]
    assert shown == [tuple(ann), (ann[1], bo[1]), tuple(bo), (ann[0], bo[0])]
    assert pairs.same.tolist() == [True, False, True, False]
    assert pairs.folds == (2 if header else None)
    assert images[0].shape == (20, 24, 3)


def test_one_number_in_the_first_line_is_of_one_fold(tmp_path):
    write_lines(tmp_path / "pairs.txt", ["2", *LINES[1:]])
    assert read_pairs(tmp_path / "pairs.txt").folds == 1


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["3 1", *LINES[1:]], "says 3 folds of 2 x 1 pairs, but there are 4"),
        (["two folds", *LINES[1:]], "is not the number of folds"),
        ([*LINES, "Bo 3"], "expected PERSON N1 N2"),
        ([*LINES, "Bo 3 x"], "expected PERSON N1 N2"),
        ([*LINES, "a b c d e"], "expected PERSON N1 N2"),
        ([*LINES, "../x 1 2"], "names no folder of a person"),
        ([], "has no pairs"),
        (["10 300"], "has no pairs"),
    ],
)
def test_malformed_lists(tmp_path, lines, message):
    write_lines(tmp_path / "pairs.txt", lines)
    with pytest.raises(UserError, match=message):
        read_pairs(tmp_path / "pairs.txt")


def test_missing_and_ambiguous_images(faces):
    os.remove(faces / "Bo" / "3.png")
    with pytest.raises(UserError, match=r"names 1 images that are missing in .*: Bo 3$"):
        open_pairs(faces / "pairs.txt", faces)
    write_image(faces / "Bo" / "3.png")
    write_image(faces / "Bo" / "x03.png")
    with pytest.raises(UserError, match=r"both Bo/3.png and Bo/x03.png are number 3"):
        open_pairs(faces / "pairs.txt", faces)
    write_lines(faces / "pairs.txt", ["1 1", "Bo 3 10", "Bo 3 Cy 1"])
    with pytest.raises(UserError, match="Cy"):
        open_pairs(faces / "pairs.txt", faces)


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("flags", [[True, False], np.array([True, False])])
def test_bin(tmp_path, protocol, flags):
    contents = [jpeg(seed) for seed in range(4)]
    (tmp_path / "x.bin").write_bytes(pickle.dumps((contents, flags), protocol))
    images, pairs = read_bin(tmp_path / "x.bin")
    assert (pairs.first.tolist(), pairs.second.tolist()) == ([0, 2], [1, 3])
    assert pairs.same.tolist() == [True, False] and pairs.folds is None
    for image, content in zip(images, contents, strict=True):
        expected = np.asarray(Image.open(io.BytesIO(content)))
        np.testing.assert_allclose(image, expected, atol=2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([b"", b""], "first part is not a list of images"),
        (([b"x"] * 3, [True, False]), "3 images are not two for each of 2 pairs"),
        (([b"x"] * 2, ["yes"]), "second part is not a list of booleans"),
        (([b"x"] * 2, [True], 3), "does not contain two lists"),
        (([], []), "0 images are not two"),
        (([1, 2], [True]), "first part is not a list of images"),
        ((os.system, [True]), "refused: it asks for .*system"),
    ],
)
def test_bin_with_something_else(tmp_path, content, message):
    (tmp_path / "x.bin").write_bytes(pickle.dumps(content, 2))
    with pytest.raises(UserError, match=message):
        read_bin(tmp_path / "x.bin")


def test_damaged_images_of_a_bin_are_named(tmp_path):
    (tmp_path / "x.bin").write_bytes(pickle.dumps(([b"no", b"x" * 2**25 + b"x"], [True]), 4))
    images, _ = read_bin(tmp_path / "x.bin")
    with pytest.raises(UserError, match="image 0: it is not an image"):
        images[0]
    with pytest.raises(UserError, match="image 1: it has more than"):
        images[1]
