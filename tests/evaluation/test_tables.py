"""Tables as text and as CSV."""

import csv
import os

import pytest

from evaluation.tables import aligned, write_csv
from utils import UserError


def test_columns_line_up():
    lines = aligned(["model", "a", "bb"], [["x", "1.00", "2"], ["longer", "", "10.5"]])
    assert lines == [
        "model      a    bb",
        "x       1.00     2",
        "longer        10.5",
    ]


def test_a_table_without_rows_is_its_header():
    assert aligned(["model", "a"], []) == ["model  a"]


def test_csv_keeps_every_digit_and_any_name(tmp_path):
    rows = [['a, "b"', 1 / 3, None], ["Möwe", 7, ""]]
    write_csv(tmp_path / "t.csv", ["name", "x", "y"], rows)
    with open(tmp_path / "t.csv", newline="", encoding="utf-8") as file:
        header, first, second = csv.reader(file)
    assert header == ["name", "x", "y"]
    assert (first[0], float(first[1]), first[2]) == ('a, "b"', 1 / 3, "")
    assert second == ["Möwe", "7", ""]


def test_csv_takes_names_of_any_bytes(tmp_path):
    path = tmp_path / "t.csv"
    write_csv(path, ["name"], [[os.fsdecode(b"a\xff.npz")]])
    assert path.read_bytes() == b"name\na\\udcff.npz\n"


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(UserError, match="nowhere"):
        write_csv(tmp_path / "nowhere/t.csv", ["a"], [])
