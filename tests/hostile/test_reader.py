"""Detection of readers that break the promise."""

import mmap
import time

import pytest

from tests.hostile import reader
from tests.hostile.reader import Reader, explore, outcome, prepare
from utils import UserError

KEPT = []


def refuse(text):
    error = UserError("damaged")
    error.args = (text,)  # as it is: the class makes one line of it
    raise error


def new_pages(size):
    """Memory from the system: the heap of a process may have kept so much that was freed."""
    pages = mmap.mmap(-1, size)
    for _ in range(0, size, 2**20):
        pages.write(bytes(2**20))
    return pages


DEEDS = {
    "list index out of range": lambda: [][0],
    "no single line": lambda: refuse("the.file is\ndamaged"),
    "names no file": lambda: refuse("something is wrong"),
    "wrong result": lambda: "wrong",
    "it took 2.1 GiB": lambda: KEPT.append(new_pages(2**31 + 2**27)),
    r"it took [\d.]+ s": lambda: [time.process_time() for _ in range(10**6)],
}


def reading(deed):
    """A reader that does something else when the file is damaged."""

    def read(folder):
        return deed() if (folder / "the.file").read_bytes() != b"valid" else "valid"

    def check(found, valid, folder):
        assert found == valid, "wrong result"

    return Reader(lambda f: (f / "the.file").write_text("valid"), ("the.file",), read, check)


@pytest.mark.parametrize("reason", DEEDS)
def test_broken_promises(tmp_path, monkeypatch, reason):
    faulty = reading(DEEDS[reason])
    valid = prepare(faulty, tmp_path)
    (tmp_path / "the.file").write_text("damaged")
    if reason == r"it took [\d.]+ s":
        monkeypatch.setattr(reader, "SECONDS", 0.01)
    with pytest.raises((AssertionError, IndexError), match=reason):
        outcome(faulty, tmp_path, valid)
    KEPT.clear()


def test_damage_is_the_same_each_time_and_the_file_is_whole_again(tmp_path):
    seen = []
    honest = reading(
        lambda: seen.append((tmp_path / "the.file").read_bytes()) or refuse("the.file")
    )
    valid = prepare(honest, tmp_path)
    first = [one.message for one in explore(honest, tmp_path, valid, 50)]
    again = [one.message for one in explore(honest, tmp_path, valid, 50)]
    assert first == again and len(first) == 50 and len(set(seen)) > 30
    assert seen[: len(seen) // 2] == seen[len(seen) // 2 :]
    assert (tmp_path / "the.file").read_text() == "valid"
