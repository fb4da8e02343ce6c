"""Histories are read as they were written, and other tables are refused."""

import math

import pytest

from storage.history import read_history, write_history
from utils import UserError


def test_unmeasured_values_are_nan(tmp_path):
    path = tmp_path / "history.csv"
    write_history(path, [{"epoch": 1, "acc": 0.25}, {"epoch": 2, "acc": 0.1, "val_acc": 1e-7}])
    first, second = read_history(path)
    assert (first["epoch"], first["acc"]) == (1, 0.25) and math.isnan(first["val_acc"])
    assert second == {"epoch": 2, "acc": 0.1, "val_acc": 1e-7}


@pytest.mark.parametrize(
    "text", ["a,b\n", "epoch,acc\n", "epoch\n1,2\n", "epoch,acc\nx,1\n", 'epoch\n"1\n']
)
def test_other_tables_are_refused(tmp_path, text):
    path = tmp_path / "history.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=r"history\.csv: the history is damaged"):
        read_history(path)


def test_an_empty_file_has_no_epochs(tmp_path):
    (tmp_path / "history.csv").touch()
    assert read_history(tmp_path / "history.csv") == []
