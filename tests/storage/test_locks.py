"""One run per snapshot."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import learn_classifier
from storage.locks import only_run
from tests.commands.running import TINY, run
from utils import UserError

HOLDER = """
import sys, time
from pathlib import Path
from storage.locks import only_run

with only_run(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that uses the snapshot ``s.h5``."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "s.h5")],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
    )
    assert process.stdout.readline() == b"locked\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_run_is_refused_until_the_first_is_killed(tmp_path, holder):
    path = tmp_path / "s.h5"
    outcome = run(learn_classifier, f"{TINY} --epochs 1 --snapshot {path}")
    assert outcome.status == 1 and outcome.out == ""
    assert outcome.err.splitlines()[-1] == (
        f"learn_classifier.py: error: --snapshot {path}: another run is using it, "
        f"process {holder.pid} on {socket.gethostname()}"
    )
    assert not path.exists()
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / "s.h5.lock").exists()
    with only_run(path):
        content = (tmp_path / "s.h5.lock").read_text()
        assert content == f"process {os.getpid()} on {socket.gethostname()}\n"
    assert os.listdir(tmp_path) == []


def test_within_one_process_too(tmp_path):
    with only_run(tmp_path / "s.h5"):
        refused = pytest.raises(UserError, match="another run is using it")
        with refused, only_run(tmp_path / "s.h5"):
            pass
        with only_run(tmp_path / "other.h5"):
            pass
        assert (tmp_path / "s.h5.lock").exists()
    with only_run(None):
        pass


def test_a_file_that_is_no_lock_is_left_alone(tmp_path):
    (tmp_path / "poetry.lock").write_text("# packages")
    with (
        pytest.raises(UserError, match=r"poetry\.lock is in the way"),
        only_run(tmp_path / "poetry"),
    ):
        pass
    assert (tmp_path / "poetry.lock").read_text() == "# packages"
    os.mkfifo(tmp_path / "s.h5.lock")
    with pytest.raises(UserError, match="is in the way"), only_run(tmp_path / "s.h5"):
        pass
    assert (tmp_path / "s.h5.lock").is_fifo()
