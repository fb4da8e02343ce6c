"""Damaged files end in the right result or in one clear line, in time."""

import pytest

from tests.hostile.reader import explore, prepare
from tests.hostile.table import READERS

MANY = 2000
"""Damaged files of each reader in ``pytest -m slow tests/hostile``."""


def check(name, folder, capfd, examples):
    reader = READERS[name]
    valid = prepare(reader, folder)
    capfd.readouterr()  # what libraries print once
    outcomes = explore(reader, folder, valid, examples)
    assert {outcome.message is None for outcome in outcomes} == {True, False}
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", READERS)
def test_right_or_refused(tmp_path, capfd, name):
    check(name, tmp_path, capfd, READERS[name].examples)


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_right_or_refused_many_times(tmp_path, capfd, name):
    check(name, tmp_path, capfd, MANY)
