"""Rehearsals: crashes, hangs and exhausted memory of a child process give a one-line error."""

import ctypes
import os
import threading
import time

import pytest

from storage import rehearsal
from storage.rehearsal import rehearse, rehearsed
from utils import UserError


def crash(path):
    ctypes.string_at(1)


def hang(path):
    while True:
        time.process_time()


def fill(path):
    bytearray(2**34)


def fill_within(path):
    try:
        bytearray(2**34)
    except MemoryError as error:
        raise UserError(f"{path} is damaged") from error


def refuse(path, reason):
    raise UserError(f"{path}: {reason}")


def fail(path):
    raise KeyError("a fault of the reader")


def mark(path, folder):
    open(f"{folder}/{time.monotonic_ns()}", "x").close()
    print("libraries print")


@rehearsed("json")
def double(path, more):
    with open(path) as file:
        return 2 * file.read() + more


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "a.file"
    path.write_text("abc")
    return path


@pytest.mark.parametrize(
    ("read", "arguments", "message"),
    [
        (crash, (), "is damaged: reading it ends in SIGSEGV"),
        (hang, (), "is refused: reading it takes more than 1 s"),
        (fill, (), "is refused: reading it takes far too much memory"),
        (fill_within, (), "is refused: reading it takes far too much memory"),
        (refuse, ("no such thing",), ": no such thing"),
    ],
)
def test_outcomes_of_a_rehearsal(path, monkeypatch, read, arguments, message):
    monkeypatch.setattr(rehearsal, "SECONDS", 1)
    with pytest.raises(UserError) as caught:
        rehearse(read, path, *arguments)
    assert str(caught.value).removeprefix(str(path)).removeprefix(" ") == message
    rehearse(mark, path, str(path.parent))  # the server goes on


def test_a_reader_reads_what_was_rehearsed(path):
    assert double(path, "d") == "abcabcd"


def test_a_file_is_rehearsed_again_when_it_changes(path, tmp_path):
    def rehearsals():
        rehearse(mark, path, str(tmp_path))
        return len(list(tmp_path.iterdir())) - 1

    assert [rehearsals(), rehearsals()] == [1, 1]
    path.write_text("abd")
    assert rehearsals() == 2


def test_faults_of_a_reader_are_left_to_it(path):
    rehearse(fail, path)
    with pytest.raises(KeyError):
        fail(path)


def test_non_regular_files_are_left_to_the_reader(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name in ("none", "pipe", "zero\0byte", "."):
        rehearse(crash, f"{tmp_path}/{name}")


def test_relative_paths(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    assert double(path.name, "") == "abcabc"


def test_a_server_that_ended_is_replaced(path):
    for ended in (lambda: rehearsal._server.wait(), lambda: None):
        double(path, "")
        rehearsal._server.kill()
        ended()
        path.write_text("abd")
        assert double(path, "e") == "abdabde"


def test_many_threads(tmp_path):
    results = {}

    def read(number):
        path = tmp_path / f"{number}"
        path.write_text(str(number))
        results[number] = double(path, "")

    threads = [threading.Thread(target=read, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {number: 2 * str(number) for number in range(20)}
