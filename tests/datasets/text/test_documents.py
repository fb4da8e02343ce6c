"""Documents in folders, and in columns of CSV files that are named once, never or twice."""

import os
from pathlib import Path

import pytest

from datasets.text.documents import check_columns, find_documents
from utils import UsageError, UserError

TABLE = "id,body,body\n1,war,web\n"


def find(tmp_path, columns):
    path = tmp_path / "d.csv"
    path.write_text(TABLE)
    found = find_documents([path], columns)
    return [found.texts[name] for name in found.files]


@pytest.mark.parametrize(
    ("columns", "texts"),
    [
        (["id"], ["1"]),
        (["3", "2"], ["body body", "web war"]),
        (["1"], ["id", "1"]),
    ],
)
def test_columns_are_joined_in_the_order_given(tmp_path, columns, texts):
    assert find(tmp_path, columns) == texts


def test_rows_are_named_by_their_first_line(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text('1,"war\nweb"\n\n2,game\n')
    with pytest.raises(UserError, match=r"d\.csv:3: expected at least 2 columns, found 0"):
        find_documents([path], ["2"])
    path.write_text('1,"war\nweb"\n2,game\n')
    assert find_documents([path], ["2"]).files == [f"{path}:1", f"{path}:3"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["id", "id"], "id is given twice"),
        (["1", "2", "1"], "1 is given twice"),
        (["2", "0"], "numbers start at 1"),
        (["id", ""], "a column is empty"),
    ],
)
def test_columns_that_no_table_has_are_refused(columns, message):
    with pytest.raises(UsageError, match=message):
        check_columns(columns)


def test_0_may_be_the_name_of_a_column():
    check_columns(["0", "id"])


@pytest.mark.parametrize(
    ("columns", "error", "message"),
    [
        (["body"], UserError, r"d\.csv:1: 2 columns are called 'body'; give numbers"),
        (["text"], UserError, r"d\.csv:1: there is no column 'text', only id, body, body"),
        (["9" * 5000], UserError, r"d\.csv:1: there is no column '9{40}', only"),
        (["4"], UserError, r"d\.csv:1: expected at least 4 columns, found 3"),
    ],
)
def test_ambiguous_and_unknown_columns_are_refused(tmp_path, columns, error, message):
    with pytest.raises(error, match=message):
        find(tmp_path, columns)


@pytest.mark.parametrize("content", ["", "\n1,war\n"])
def test_a_table_without_names_of_columns_is_refused(tmp_path, content):
    (tmp_path / "d.csv").write_text(content)
    with pytest.raises(UserError, match=r"d\.csv:1: expected the names of the columns"):
        find_documents([tmp_path / "d.csv"], ["text"])


def test_hidden_documents_are_skipped(tmp_path):
    for name in ("a.txt", "._a.txt", ".git/b.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"war" if name == "a.txt" else b"\xff")
    found = find_documents([tmp_path])
    assert found.files == [str(tmp_path / "a.txt")]
    assert found.skipped == [tmp_path / "._a.txt"]
    assert found.damaged == []


def test_a_folder_that_cannot_be_listed_is_reported(tmp_path, monkeypatch):
    for name in ("a.txt", "b/c.txt", "b/d.md", "closed/e.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("war")
    listing = os.scandir

    def scandir(path):
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return listing(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found = find_documents([tmp_path])
    assert found.files == [str(tmp_path / name) for name in ("a.txt", "b/c.txt")]
    assert found.skipped == [tmp_path / "b/d.md"]
    (error,) = found.unreadable
    assert str(error) == f"cannot read the folder {tmp_path / 'closed'}: Permission denied"
    (error,) = find_documents([tmp_path / "closed"]).unreadable
