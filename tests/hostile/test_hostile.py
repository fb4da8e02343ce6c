"""Whatever is in a file: the right result or one clear line, in time, and no harm."""

import pytest

from tests.hostile import limits, misbehaving
from tests.hostile.readers import table

QUICK, QUICK_WITH_KERAS = 200, 30
"""Mutated inputs of each reader in ``make test``."""
MANY = 2000
"""And in the slow test, which ``pytest -m slow tests/hostile`` runs."""

READERS = table()
PLAIN = [name for name, reader in READERS.items() if not reader.keras]
WITH_KERAS = [name for name, reader in READERS.items() if reader.keras]


def check(summaries: dict[str, limits.Summary]) -> None:
    """Nothing failed, and each reader had something to read and something to refuse."""
    print(limits.report(summaries))
    failures = [(name, *failure) for name, s in summaries.items() for failure in s.failures]
    assert not failures, "\n".join(" | ".join(failure) for failure in failures[:20])
    for name, summary in summaries.items():
        assert summary.outcomes["right"] and summary.outcomes["refused"], name


@pytest.mark.parametrize(
    ("names", "count"), [(PLAIN, QUICK), (WITH_KERAS, QUICK_WITH_KERAS)], ids=["plain", "Keras"]
)
def test_right_or_refused(tmp_path, names, count):
    check(limits.run(names, count, tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_right_or_refused_many_times(tmp_path, name):
    check(limits.run([name], MANY, tmp_path, large=True))


def test_what_must_not_happen_is_noticed(tmp_path):
    # The memory that one has taken would be counted for those after it.
    others = [deed for deed in misbehaving.DEEDS if deed not in ("grows", "waits")]
    summaries = limits.run([*others, "grows"], 1, tmp_path)
    # Less patience for one only: the others may take that long on a busy machine.
    summaries |= limits.run(["waits"], 1, tmp_path, patience=10)
    assert all(len(summary.failures) == 1 for summary in summaries.values())
    reasons = {deed: summary.failures[0][1] for deed, summary in summaries.items()}
    assert "status -11" in reasons["dies"] and "status 0" in reasons["ends"]
    assert "IndexError" in reasons["raises"] and "no sign" in reasons["waits"]
    assert "2.3 GiB" in reasons["grows"] and "result is wrong" in reasons["is wrong"]
    for deed in ("writes a file", "writes elsewhere", "makes a folder", "starts a process"):
        assert "must not" in reasons[deed], deed
    assert "must not" in reasons["starts a shell"] and "must not" in reasons["runs text"]


def test_what_takes_too_long_is_no_success():
    summary = limits.Summary()
    summary.add("one", {"outcome": "refused", "text": "", "cpu": 10.5, "bytes": 1})
    assert summary.failures == [("one", "it took 10.5 s")] and not summary.outcomes["refused"]
