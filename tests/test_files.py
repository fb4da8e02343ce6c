"""Files are written whole or not at all."""

import os

import pytest

from files import check_folder, check_writable, replacing
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


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (OSError(28, "No space left on device"), UserError),
        (RuntimeError("Can't\nwrite data"), UserError),
        (ValueError("a fault of the program"), ValueError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
@pytest.mark.parametrize("existing", [True, False])
def test_a_failure_leaves_the_old_file_and_no_temporary_one(tmp_path, error, raised, existing):
    path = tmp_path / "a.csv"
    if existing:
        path.write_text("old")
    with pytest.raises(raised) as caught, replacing(path) as temporary:
        temporary.write_text("half of the n")
        raise error
    assert os.listdir(tmp_path) == (["a.csv"] if existing else [])
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
    with pytest.raises(UsageError, match=r"--history: there is no folder .*none"):
        check_writable("--history", tmp_path / "none" / "a.csv", overwrite=True)


def test_a_folder_in_which_nothing_can_be_created_is_refused(tmp_path, monkeypatch):
    def fail(dir):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.TemporaryFile", fail)
    with pytest.raises(UsageError, match=r"cannot write to .*: Read-only file system"):
        check_folder("--log_dir", tmp_path)
