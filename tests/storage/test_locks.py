"""Locks that others hold."""

import threading
import time

import pytest

from storage.locks import Lock, locked
from utils import UserError


@pytest.fixture
def held(tmp_path):
    lock = Lock(tmp_path / "a.lock")
    assert lock.acquire()
    yield lock
    lock.close()


def test_a_lock_that_is_held_for_ever_is_named(tmp_path, held):
    told = []
    named = pytest.raises(UserError, match=r"a\.lock is locked by another process, .* for 0 s")
    with named, locked(tmp_path / "a.lock", lambda: told.append(1), patience=0.2):
        pass
    assert told == [1]


def test_signs_of_life_keep_others_waiting(tmp_path, held):
    def work():
        for _ in range(8):
            time.sleep(0.1)
            held.touch()
        held.remove()
        held.close = lambda: None

    worker = threading.Thread(target=work)
    worker.start()
    with locked(tmp_path / "a.lock", lambda: None, patience=0.4) as lock:
        assert lock.locked
    worker.join()


def test_links_are_not_followed(tmp_path):
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "a.lock").symlink_to(tmp_path / "victim")
    refused = pytest.raises(UserError, match=r"cannot open .*a\.lock")
    with refused, locked(tmp_path / "a.lock", pytest.fail):
        pass
