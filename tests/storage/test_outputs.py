"""Claims on outputs: only the command's own files are replaced."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import compute_class_embedding
import learn_classifier
from storage.files import growing, partial_path, replacing
from storage.outputs import check_folder, check_suffix, claim, claim_all, hold, note, release
from storage.temporary import leftovers, remove_leftovers
from tests.commands.running import TINY, run
from tests.permissions import folder_for_all, ordinary_user
from training.callbacks.epoch_log import EpochReporter
from utils import UsageError, UserError

HOLDER = """
import sys, time
from pathlib import Path
from storage.outputs import claim

claim("--out", Path(sys.argv[1]), True)
print("claimed", flush=True)
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def released():
    yield
    release()


@pytest.fixture
def holder(tmp_path):
    """A process that writes ``a.h5``."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "a.h5")],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
    )
    assert process.stdout.readline() == b"claimed\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.mark.parametrize("option", ["snapshot", "weight_dump", "model_dump"])
def test_a_second_run_is_refused_until_the_first_is_killed(tmp_path, holder, option):
    path = tmp_path / "a.h5"
    outcome = run(learn_classifier, f"{TINY} --epochs 1 --{option} {path} --overwrite")
    assert outcome.status == 1 and outcome.out == ""
    assert outcome.err.splitlines()[-1] == (
        f"learn_classifier.py: error: --{option} {path}: another run is using it, "
        f"process {holder.pid} on {socket.gethostname()}"
    )
    assert os.listdir(tmp_path) == [".a.h5.lock"]
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    claim("--out", path, False)
    content = (tmp_path / ".a.h5.lock").read_text()
    assert content == f"process {os.getpid()} on {socket.gethostname()}\n"
    release()
    assert os.listdir(tmp_path) == []


def test_every_command_claims_its_outputs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("tree.txt").write_text("top a\ntop b\n")
    claim("--out", Path("a.npz"), True)
    outcome = run(
        compute_class_embedding,
        "--hierarchy tree.txt --is_a --str_ids --out a.npz --overwrite",
    )
    assert outcome.status == 1 and "--out a.npz: another run is using it" in outcome.err


def test_within_one_process_too(tmp_path):
    claim("--out", tmp_path / "a.h5", False)
    with pytest.raises(UserError, match="another run is using it"):
        claim("--out", tmp_path / "a.h5", False)
    claim("--out", tmp_path / "other.h5", False)


@pytest.mark.parametrize("write", [replacing, growing])
@pytest.mark.parametrize("existing", [True, False])
def test_a_file_created_during_the_run_is_kept(tmp_path, write, existing):
    path = tmp_path / "a.csv"
    if existing:
        path.write_text("old")
    claim("--out", path, overwrite=True)
    path.unlink(missing_ok=True)
    path.write_text("somebody's")
    for content in ("first", "second"):
        with pytest.raises(UserError, match=r"is kept; the output is in .*a\.") as caught:
            _write(write, path, content)
        aside = Path(str(caught.value).split(" is in ")[1])
        assert path.read_text() == "somebody's" and aside.read_text() == content
    release()
    assert {*tmp_path.iterdir()} == {path, aside}


def _write(write, path, content):
    with write(path) as target:
        (target.write_text if write is replacing else target.write)(content)


@pytest.mark.parametrize("write", [replacing, growing])
def test_the_command_replaces_its_own_files(tmp_path, write):
    path = tmp_path / "a.csv"
    claim("--out", path, overwrite=False)
    for content in ("first", "second"):
        _write(write, path, content)
        assert path.read_text() == content
    path.unlink()  # somebody took it away
    _write(write, path, "third")
    assert path.read_text() == "third"


def test_where_there_are_no_hard_links(tmp_path, monkeypatch):
    def link(*names):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    claim("--out", tmp_path / "a.csv", overwrite=False)
    _write(replacing, tmp_path / "a.csv", "new")
    assert (tmp_path / "a.csv").read_text() == "new"


def folder_with(path, content):
    path.mkdir(exist_ok=True)
    (path / "part").write_text(content)


def test_folders_are_replaced_whole(tmp_path):
    path = tmp_path / "model"
    folder_with(path, "old")
    folder_with(tmp_path / ".model.old", "mine")
    with replacing(path) as temporary:
        folder_with(temporary, "new")
        assert (path / "part").read_text() == "old"
    assert (path / "part").read_text() == "new"
    assert sorted(os.listdir(tmp_path)) == [".model.old", "model"]


def test_a_signal_while_folders_change_places_leaves_the_old_one(tmp_path, monkeypatch):
    path, rename = tmp_path / "model", Path.rename
    folder_with(path, "old")

    def interrupted(self, target):
        if target == path and not self.name.startswith("model."):
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt), replacing(path) as temporary:
        folder_with(temporary, "new")
    assert os.listdir(tmp_path) == ["model"] and (path / "part").read_text() == "old"


KILLED = """
import os, signal, sys
from pathlib import Path
from storage.files import replacing

renamed, rename = int(sys.argv[1]), Path.rename

def killed(self, target):
    global renamed
    if not renamed:
        os.kill(os.getpid(), signal.SIGKILL)
    renamed -= 1
    return rename(self, target)

Path.rename = killed
with replacing("model") as temporary:
    temporary.mkdir()
    (temporary / "part").write_text("new")
"""


@pytest.mark.parametrize(("renamed", "left"), [(0, "old"), (1, "old"), (2, "new")])
def test_a_kill_during_the_replacement_leaves_a_whole_folder(tmp_path, renamed, left):
    """Kill before, between and after the renamings."""
    path = tmp_path / "model"
    folder_with(path, "old")
    folder_with(tmp_path / ".model.old", "mine")
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", KILLED, str(renamed)]
    assert subprocess.run(command, cwd=tmp_path, env=environment).returncode == -signal.SIGKILL
    seen = [found.read_text() for found in tmp_path.glob("model*/part")]
    assert left in seen and path.exists() == (renamed != 1)
    assert (tmp_path / ".model.old" / "part").read_text() == "mine"
    remove_leftovers(path)
    with replacing(path) as temporary:
        folder_with(temporary, "newest")
    assert (path / "part").read_text() == "newest"
    kept = [found.read_text() for found in tmp_path.glob("model.*/part")]
    assert kept == ([] if renamed == 0 else ["old"])


@pytest.mark.parametrize("below", [".", "inner"])
def test_files_added_to_a_folder_during_the_run_are_kept(tmp_path, below):
    path = tmp_path / "model"
    folder_with(path, "old")
    (path / "inner").mkdir()
    hold("--out", path)
    note(path)
    (path / below / "notes").write_text("mine")
    stays = pytest.raises(UserError, match="is kept; the output is in")
    with stays, replacing(path) as temporary:
        folder_with(temporary, "new")
    assert (path / below / "notes").read_text() == "mine"
    assert (path / "part").read_text() == "old"


def test_planted_links_are_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    path = tmp_path / "a.csv"
    for name in (".a.csv.lock", "a.csv.partial", f".a.csv.{os.getpid()}.csv"):
        (tmp_path / name).symlink_to(victim)
    with pytest.raises(UserError, match=r"cannot lock .*\.a\.csv\.lock"):
        claim("--out", path, overwrite=True)
    (tmp_path / ".a.csv.lock").unlink()
    claim("--out", path, overwrite=True)
    with pytest.raises(UserError, match="File exists"):
        _write(growing, path, "new")
    claim("--out", partial_path(path), overwrite=True)
    _write(growing, path, "new")
    _write(replacing, path, "newer")
    assert path.read_text() == "newer" and victim.read_text() == "mine"


def test_a_link_to_nothing_is_a_file_that_exists(tmp_path):
    (tmp_path / "a.csv").symlink_to(tmp_path / "nothing")
    with pytest.raises(UsageError, match="exists already"):
        claim("--out", tmp_path / "a.csv", False)


def test_only_files_of_killed_commands_are_removed(tmp_path):
    path = tmp_path / "run.h5"
    mine = [".run.h5.1", ".run.h5.20261128.h5", ".run.h5.1.bak", ".run.h5.abcdefgh.partial"]
    for name in mine:
        (tmp_path / name).write_text("mine")
    folders = [".run.h5.old", ".run.h5.backup01.partial.1"]
    for name in folders:
        (tmp_path / name).mkdir(0o700)
    (tmp_path / ".run.h5.readable.partial").mkdir(0o755)
    (tmp_path / ".run.h5.linkedto.partial").symlink_to(tmp_path / ".run.h5.old")
    before = sorted(os.listdir(tmp_path))
    with replacing(path) as temporary:
        temporary.write_text("new")
        (kept,) = leftovers(path)
        os.rename(kept, tmp_path / ".run.h5.k1lled_9.partial")
        temporary.parent.mkdir()
        temporary.write_text("new")
    assert leftovers(path)
    claim("--out", path, True)
    release()
    assert sorted([*os.listdir(tmp_path)]) == sorted([*before, "run.h5"])
    remove_leftovers(tmp_path / "gone" / "a")


@pytest.mark.parametrize("length", [229, 256, 5000])
def test_names_that_are_too_long_are_refused(tmp_path, length):
    with pytest.raises(UsageError, match=r"--history .*: File name too long$"):
        claim("--history", tmp_path / (length * "n"), overwrite=True)


def test_outputs_that_can_be_written_are_accepted_and_nothing_is_left(tmp_path):
    claim("--history", tmp_path / "a.csv", overwrite=False)
    release()
    assert os.listdir(tmp_path) == []
    (tmp_path / "a.csv").write_text("old")
    claim("--history", tmp_path / "a.csv", overwrite=True)
    assert (tmp_path / "a.csv").read_text() == "old"


def test_outputs_that_cannot_be_written_are_refused(tmp_path):
    (tmp_path / "a.csv").write_text("old")
    with pytest.raises(UsageError, match=r"--history .*a\.csv: exists already; give --overwrite"):
        claim("--history", tmp_path / "a.csv", overwrite=False)
    with pytest.raises(UsageError, match="is a folder, not a file"):
        claim("--history", tmp_path, overwrite=True)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="is a device or a pipe, not a file"):
        claim("--history", tmp_path / "pipe", overwrite=True)
    with pytest.raises(UsageError, match=r"--history: there is no folder .*none"):
        claim("--history", tmp_path / "none" / "a.csv", overwrite=True)


def test_the_name_must_have_a_known_suffix():
    check_suffix("--out", Path("a.npz"), (".npz", ".pickle"))
    check_suffix("--plot", Path("a.SVG"), (".png", ".svg"), any_case=True)
    for name, any_case in (("f.csv", True), ("f.NPZ", False), ("npz", False)):
        with pytest.raises(UsageError, match=rf"--out {name}: .*\.npz or \.pickle"):
            check_suffix("--out", Path(name), (".npz", ".pickle"), any_case)


def test_two_outputs_are_never_one_file(tmp_path):
    path = tmp_path / "a.csv"
    same = tmp_path / "." / ".." / tmp_path.name / "a.csv"
    with pytest.raises(UsageError, match="--csv and --plot name the same file"):
        claim_all((("--csv", path), ("--per_class", None), ("--plot", same)), overwrite=True)


def test_a_read_only_folder_is_refused(tmp_path, monkeypatch):
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
            claim("--history", folder / "a.csv", overwrite=False)
            for closed in ("closed", "closed/below", "fixed"):
                named = rf"--history: cannot write to .*{closed}: Permission denied"
                with pytest.raises(UsageError, match=named):
                    claim("--history", folder / closed / "a.csv", overwrite=False)


def test_a_training_keeps_what_appears_at_its_outputs_and_its_own_results(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    theirs = ("w.h5", "m.keras", "f.npz", "h.csv", "s.h5")
    whole = EpochReporter.on_epoch_end

    def epoch_end(self, epoch, logs=None):
        for name in theirs if epoch == 0 else ():
            Path(name).unlink(missing_ok=True)  # the first snapshot is there
            Path(name).write_text("somebody's")
        whole(self, epoch, logs)

    monkeypatch.setattr(EpochReporter, "on_epoch_end", epoch_end)
    files = "--weight_dump w.h5 --model_dump m.keras --feature_dump f.npz --history h.csv"
    outcome = run(learn_classifier, f"{TINY} --epochs 2 {files} --snapshot s.h5")
    assert outcome.status == 1
    assert {Path(name).read_text() for name in theirs} == {"somebody's"}
    told = r"cannot write (\S+): another file .* is in (\S+?)(?:;.*)?$"
    found = dict(re.findall(told, outcome.err, re.MULTILINE))
    assert {*found} == {*theirs}
    assert len(Path(found["h.csv"]).read_text().splitlines()) == 3
    assert {len([*tmp_path.glob(f"{Path(name).stem}.*")]) for name in theirs} == {3}
