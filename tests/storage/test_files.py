"""Files are written whole or not at all."""

import os

import pytest

from storage.files import (
    check_folder,
    check_writable,
    growing,
    leftovers,
    partial_path,
    replacing,
    write_errors,
)
from tests.permissions import folder_for_all, ordinary_user
from utils import UsageError, UserError


def test_the_file_appears_when_the_block_ends(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == tmp_path and temporary.suffix == ".csv"
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["a.csv"]


def test_the_temporary_name_has_the_ending_asked_for(tmp_path):
    with replacing(tmp_path / "a.h5", ".weights.h5") as temporary:
        assert temporary.name.endswith(".weights.h5")
        temporary.write_text("new")
    assert os.listdir(tmp_path) == ["a.h5"]


@pytest.mark.parametrize("length", [240, 246])
@pytest.mark.parametrize("letter", ["n", "ö"])
@pytest.mark.parametrize("ending", [".h5", "." + 60 * "x"])
def test_what_is_said_to_be_writable_is_with_all_that_lies_beside_it(
    tmp_path, length, letter, ending
):
    stem = letter * ((length - len(ending)) // len(letter.encode()))
    path = tmp_path / f"{stem}{ending}"
    check_writable("--history", path, overwrite=False)
    for written in (path, path.with_name(f"{path.name}.run.json")):
        with replacing(written) as temporary:
            temporary.write_text("new")
            assert leftovers(written) == [temporary]
            assert temporary.suffix == written.suffix or len(written.suffix) > 20
    with growing(path) as file:
        file.write("new")


@pytest.mark.parametrize("length", [248, 256, 5000])
def test_names_that_are_too_long_are_refused(tmp_path, length):
    with pytest.raises(UsageError, match=r"--history .*: File name too long$"):
        check_writable("--history", tmp_path / (length * "n"), overwrite=True)


def test_leftovers_are_those_of_the_same_file(tmp_path):
    for name in ("a[1].csv", "a1.csv"):
        (tmp_path / f".{name}.17.csv").touch()
        (tmp_path / name).touch()
    (tmp_path / ".a[1].csv.swp").touch()  # of an editor
    (tmp_path / ".a[1].csv.18").touch()
    found = [path.name for path in leftovers(tmp_path / "a[1].csv")]
    assert sorted(found) == [".a[1].csv.17.csv", ".a[1].csv.18"]


@pytest.mark.parametrize(
    ("name", "error", "raised"),
    [
        ("a.csv", OSError(28, "No space left on device"), UserError),
        ("a.h5", RuntimeError("Can't\nwrite data"), UserError),
        ("a.keras", RuntimeError("Can't\nwrite data"), UserError),
        ("a.csv", RuntimeError("out of the accelerator's memory"), RuntimeError),
        ("a.csv", ValueError("a fault of the program"), ValueError),
        ("a.csv", KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
@pytest.mark.parametrize("existing", [True, False])
def test_a_failure_leaves_the_old_file_and_no_temporary_one(
    tmp_path, name, error, raised, existing
):
    path = tmp_path / name
    if existing:
        path.write_text("old")
    with pytest.raises(raised) as caught, replacing(path) as temporary:
        temporary.write_text("half of the n")
        raise error
    assert os.listdir(tmp_path) == ([name] if existing else [])
    assert not existing or path.read_text() == "old"
    if raised is UserError:
        message = str(caught.value)
        assert message.startswith(f"cannot write {path}: ") and "\n" not in message
        assert "No space left" in message or "Can't write data" in message


def test_a_block_that_writes_nothing_is_a_failure(tmp_path):
    (tmp_path / "a.csv").write_text("old")
    with pytest.raises(UserError, match="cannot write"), replacing(tmp_path / "a.csv"):
        pass
    assert (tmp_path / "a.csv").read_text() == "old"


def test_a_folder_that_is_gone_is_a_failure(tmp_path):
    path = tmp_path / "gone" / "a.csv"
    with pytest.raises(UserError, match="No such file"), replacing(path) as temporary:
        temporary.write_text("new")


def test_a_growing_file_appears_when_it_is_complete(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("old")
    with growing(path) as file:
        file.write("new\r\n")
        file.flush()
        assert path.read_text() == "old"
        assert partial_path(path).read_bytes() == b"new\r\n"
    assert path.read_bytes() == b"new\r\n"
    assert os.listdir(tmp_path) == ["a.csv"]


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), RuntimeError("memory"), OSError(5, "of what was computed")]
)
@pytest.mark.parametrize("flushed", [True, False])
def test_what_had_grown_is_kept_and_errors_stay_what_they_are(tmp_path, caplog, error, flushed):
    path = tmp_path / "a.csv"
    path.write_text("old")
    with pytest.raises(type(error)) as caught, growing(path) as file:
        file.write("heading\n")
        if flushed:
            file.flush()
            file.write("first\n")
        raise error
    assert caught.value is error
    assert path.read_text() == "old"
    if flushed:
        assert (tmp_path / "a.csv.partial").read_text() == "heading\nfirst\n"
        assert f"is in {path}.partial" in caplog.text
    else:
        assert os.listdir(tmp_path) == ["a.csv"] and not caplog.text


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_disk_that_fills_up_while_a_file_grows(tmp_path):
    (tmp_path / "a.csv.partial").symlink_to("/dev/full")
    named = r"cannot write .*a\.csv: No space left"
    with pytest.raises(UserError, match=named), growing(tmp_path / "a.csv") as file:
        file.write("new")
    assert not (tmp_path / "a.csv").exists()


def test_a_reader_who_has_gone_is_no_failure_to_write():
    with pytest.raises(BrokenPipeError), write_errors("standard output"):
        raise BrokenPipeError(32, "Broken pipe")


def test_outputs_that_can_be_written_are_accepted_and_nothing_is_created(tmp_path):
    check_writable("--history", tmp_path / "a.csv", overwrite=False)
    assert os.listdir(tmp_path) == []
    (tmp_path / "a.csv").write_text("old")
    check_writable("--history", tmp_path / "a.csv", overwrite=True)
    assert (tmp_path / "a.csv").read_text() == "old"


def test_outputs_that_cannot_be_written_are_refused(tmp_path):
    (tmp_path / "a.csv").write_text("old")
    with pytest.raises(UsageError, match=r"--history .*a\.csv: exists already; give --overwrite"):
        check_writable("--history", tmp_path / "a.csv", overwrite=False)
    with pytest.raises(UsageError, match="is a folder, not a file"):
        check_writable("--history", tmp_path, overwrite=True)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="is a device or a pipe, not a file"):
        check_writable("--history", tmp_path / "pipe", overwrite=True)
    with pytest.raises(UsageError, match=r"--history: there is no folder .*none"):
        check_writable("--history", tmp_path / "none" / "a.csv", overwrite=True)


def test_a_folder_in_which_nothing_can_be_created_is_refused(tmp_path, monkeypatch):
    def fail(dir):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.TemporaryFile", fail)
    with pytest.raises(UsageError, match=r"cannot write to .*: Read-only file system"):
        check_folder("--log_dir", tmp_path)


def test_folders_that_permissions_close_are_refused():
    with folder_for_all() as folder:
        (folder / "closed/below").mkdir(parents=True)
        (folder / "fixed").mkdir()
        (folder / "fixed").chmod(0o555)
        (folder / "closed").chmod(0)
        with ordinary_user():
            check_writable("--history", folder / "a.csv", overwrite=False)
            for closed in ("closed", "closed/below", "fixed"):
                named = rf"--history: cannot write to .*{closed}: Permission denied"
                with pytest.raises(UsageError, match=named):
                    check_writable("--history", folder / closed / "a.csv", overwrite=False)
