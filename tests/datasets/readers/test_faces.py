"""Faces: people of pairs.txt are not trained on."""

import pytest

from datasets import get_dataset
from tests.fake_data import write_faces, write_lines
from utils import UserError


def test_people_of_the_pairs_are_left_out(tmp_path):
    write_faces(tmp_path)
    dataset = get_dataset("Faces", tmp_path, test_fraction=0.5)
    assert dataset.labels == ("Person_0", "Person_1", "Person_2")
    assert (len(dataset.train), len(dataset.test)) == (9, 9)
    (tmp_path / "pairs.txt").unlink()
    assert get_dataset("Faces", tmp_path).labels == ("Ann", "Bo", *dataset.labels)


def test_requires_remaining_people(tmp_path):
    write_faces(tmp_path, people=1)
    write_lines(tmp_path / "pairs.txt", ["Ann 1 2", "Bo 1 Person_0 1"])
    with pytest.raises(UserError, match=r"names all people in .* none are left to train on"):
        get_dataset("Faces", tmp_path)
    write_lines(tmp_path / "pairs.txt", ["Ann 1 2", "Bo 1"])
    with pytest.raises(UserError, match="expected PERSON N1 N2"):
        get_dataset("Faces", tmp_path)
