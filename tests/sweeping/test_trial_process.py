"""A script that ends with the process that started it."""

import os
import signal
import subprocess
import sys
import time

import pytest

from storage.locks import locked
from sweeping import trial_process

SCRIPT = """import signal, sys, time
from pathlib import Path
folder = Path(sys.argv[1])
def end(*_):
    (folder / "ended").write_text("in order")
    sys.exit(143)
signal.signal(signal.SIGTERM, end)
(folder / "started").write_text(repr((sys.argv, sys.path[0], __name__)))
time.sleep(float(sys.argv[2]))
sys.exit(7)
"""


@pytest.fixture
def command(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    script = tmp_path / "script.py"
    return [sys.executable, trial_process.__file__, 60, tmp_path / "lock", script, tmp_path]


def start(command, seconds):
    return subprocess.Popen([*map(str, command), str(seconds)], stdin=subprocess.PIPE)


def wait_for(path, seconds=20):
    limit = time.monotonic() + seconds
    while not path.exists() or not path.read_text():
        assert time.monotonic() < limit, f"{path} does not appear"
        time.sleep(0.02)


def test_the_script_runs_as_if_started_itself(command, tmp_path):
    process = start(command, 0)
    assert process.wait(20) == 7
    process.stdin.close()
    script = str(tmp_path / "script.py")
    expected = repr(([script, str(tmp_path), "0"], str(tmp_path), "__main__"))
    assert (tmp_path / "started").read_text() == expected
    assert not (tmp_path / "ended").exists()


def test_it_is_asked_to_end_when_the_pipe_closes(command, tmp_path):
    process = start(command, 60)
    wait_for(tmp_path / "started")
    process.stdin.close()
    assert process.wait(20) == 143
    assert (tmp_path / "ended").exists()


def test_it_ends_when_its_starter_is_killed(command, tmp_path):
    code = (
        "import subprocess, sys, time\n"
        "subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE)\n"
        "time.sleep(60)\n"
    )
    starter = subprocess.Popen([sys.executable, "-c", code, *map(str, command), "60"])
    wait_for(tmp_path / "started")
    starter.send_signal(signal.SIGKILL)
    starter.wait(20)
    wait_for(tmp_path / "ended")


def test_a_script_that_does_not_end_is_killed(command, tmp_path):
    deaf = SCRIPT.replace("sys.exit(143)", "time.sleep(60)")
    (tmp_path / "script.py").write_text(deaf)
    process = start([*command[:2], 0.5, *command[3:]], 60)
    wait_for(tmp_path / "started")
    process.stdin.close()
    assert process.wait(20) == -signal.SIGKILL
    assert (tmp_path / "ended").exists()


def test_it_waits_for_another_that_is_still_ending(command, tmp_path):
    with locked(tmp_path / "lock", pytest.fail) as held:
        assert held
        process = start(command, 0)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        assert not (tmp_path / "started").exists()
        assert os.path.exists(tmp_path / "lock")
    assert process.wait(20) == 7
    process.stdin.close()
