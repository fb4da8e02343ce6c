"""Files are written whole or not at all."""

import os
import resource

import pytest

from storage.files import growing, partial_path, replacing, write_errors
from storage.outputs import claim
from storage.temporary import leftovers
from utils import UserError


def test_the_file_appears_when_the_block_ends(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.suffix == ".csv" and temporary.parent.parent == tmp_path
        assert temporary.parent.stat().st_mode & 0o777 == 0o700
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["a.csv"]


def test_the_temporary_name_has_the_requested_suffix(tmp_path):
    with replacing(tmp_path / "a.h5", ".weights.h5") as temporary:
        assert temporary.name.endswith(".weights.h5")
        temporary.write_text("new")
    assert os.listdir(tmp_path) == ["a.h5"]


@pytest.mark.parametrize("length", [220, 228])
@pytest.mark.parametrize("letter", ["n", "ö"])
@pytest.mark.parametrize("ending", [".h5", "." + 60 * "x"])
def test_accepted_names_leave_room_for_companion_files(tmp_path, length, letter, ending):
    stem = letter * ((length - len(ending)) // len(letter.encode()))
    path = tmp_path / f"{stem}{ending}"
    claim("--history", path, overwrite=False)
    for written in (path, path.with_name(f"{path.name}.run.json")):
        with replacing(written) as temporary:
            temporary.write_text("new")
            assert leftovers(written) == [temporary.parent]
            assert temporary.suffix == written.suffix or len(written.suffix) > 20
    with growing(path) as file:
        file.write("new")


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
def test_growing_files_keep_their_content_on_errors(tmp_path, caplog, error, flushed):
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


def test_a_disk_that_fills_up_while_a_file_grows(tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    named = r"cannot write .*a\.csv: File too large"
    try:
        with pytest.raises(UserError, match=named), growing(tmp_path / "a.csv") as file:
            resource.setrlimit(resource.RLIMIT_FSIZE, (2, limits[1]))
            file.write("new")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not (tmp_path / "a.csv").exists()


def test_a_closed_pipe_is_not_a_write_error():
    with pytest.raises(BrokenPipeError), write_errors("standard output"):
        raise BrokenPipeError(32, "Broken pipe")
