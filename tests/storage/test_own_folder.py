"""Folders of executable files: private, and refused where others can write."""

import os

import pytest

from storage.own_folder import own_folder


@pytest.fixture
def lax_umask():
    """A group may write to new folders, as many systems have it."""
    before = os.umask(0o002)
    yield
    os.umask(before)


def test_folders_on_the_way_are_made_for_the_user_only(tmp_path, lax_umask):
    assert own_folder(tmp_path / "a/b") == tmp_path / "a/b"
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("a", "a/b")] == [0o700] * 2
    assert own_folder(tmp_path / "a/b") == tmp_path / "a/b"


@pytest.mark.parametrize(
    ("open_one", "mode"),
    [("a/b", 0o770), ("a/b", 0o1770), ("a", 0o770), ("a", 0o707), (".", 0o777)],
)
def test_folders_writable_by_others_are_refused(tmp_path, open_one, mode):
    own_folder(tmp_path / "a/b")
    (tmp_path / open_one).chmod(mode)
    with pytest.raises(PermissionError, match=f"others can write to {(tmp_path / open_one)}$"):
        own_folder(tmp_path / "a/b")


@pytest.mark.parametrize("mode", [0o755, 0o1770, 0o1777])
def test_a_sticky_parent_is_no_danger(tmp_path, mode):
    (tmp_path / "a").mkdir()
    (tmp_path / "a").chmod(mode)
    assert own_folder(tmp_path / "a/b") == tmp_path / "a/b"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give folders away")
@pytest.mark.parametrize(("given_away", "mode"), [("a/b", 0o700), ("a", 0o755), ("a", 0o1777)])
def test_folders_of_other_users_are_refused(tmp_path, given_away, mode):
    own_folder(tmp_path / "a/b")
    (tmp_path / given_away).chmod(mode)
    os.chown(tmp_path / given_away, 65534, 65534)
    with pytest.raises(PermissionError, match=f"others can write to {(tmp_path / given_away)}$"):
        own_folder(tmp_path / "a/b")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give folders away")
def test_parents_may_belong_to_root(tmp_path, monkeypatch):
    (tmp_path / "home").mkdir()
    os.chown(tmp_path / "home", 65534, 65534)
    monkeypatch.setattr(os, "geteuid", lambda: 65534)
    assert own_folder(tmp_path / "home") == tmp_path / "home"


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "a").touch()
    with pytest.raises(FileExistsError):
        own_folder(tmp_path / "a")


def test_links_are_resolved_before_the_check(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "open")
    assert own_folder(tmp_path / "link") == tmp_path / "open"
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(PermissionError, match=f"others can write to {tmp_path / 'open'}$"):
        own_folder(tmp_path / "link")
