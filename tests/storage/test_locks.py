"""Locks that others hold."""

import threading

import pytest

from storage.locks import Lock, locked
from utils import UserError


@pytest.fixture
def held(tmp_path):
    lock = Lock(tmp_path / "a.lock")
    assert lock.acquire()
    yield lock
    lock.close()


def test_others_wait_until_the_lock_is_gone(tmp_path, held):
    told = threading.Event()

    def work():
        told.wait()
        held.remove()
        held.close = lambda: None

    worker = threading.Thread(target=work)
    worker.start()
    with locked(tmp_path / "a.lock", told.set) as lock:
        assert lock.locked and (tmp_path / "a.lock").exists()
    worker.join()


def test_links_are_not_followed(tmp_path):
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "a.lock").symlink_to(tmp_path / "victim")
    refused = pytest.raises(UserError, match=r"cannot open .*a\.lock")
    with refused, locked(tmp_path / "a.lock", pytest.fail):
        pass
