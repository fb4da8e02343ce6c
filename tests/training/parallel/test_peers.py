"""Messages of a run on several machines when one is lost or has other options."""

import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    not importlib.util.find_spec("jax"), reason="several machines need JAX, which is not installed"
)
SCRIPT = Path(__file__).with_name("peer.py")
LIMIT = 120  # seconds, on a busy machine; nothing here takes ten


@pytest.fixture(autouse=True)
def sigint():
    """Restore the default handler of SIGINT, which shells ignore for background processes."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def free_port() -> int:
    """Return a free port below the ephemeral ones, from a range of this test process."""
    for port in range(20_000 + os.getpid() % 100 * 100, 32_000):
        with socket.socket() as found, contextlib.suppress(OSError):
            found.bind(("127.0.0.1", port))
            return port
    raise OSError("no port is free")


def environment(**more: str) -> dict[str, str]:
    """Environment of a shell, without the log level that a backend sets on import."""
    return {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"} | more


def start(port: int, processes: int, rank: int, what: str = "go", *more: str) -> subprocess.Popen:
    command = [sys.executable, SCRIPT, *map(str, (port, processes, rank)), what, *more]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, env=environment(), text=True, bufsize=1, **pipes)


@contextlib.contextmanager
def running(*arguments: tuple) -> Iterator[list[subprocess.Popen]]:
    """Processes of which none is left behind."""
    processes = [start(*each) for each in arguments]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def answer(process: subprocess.Popen) -> tuple[int, str, list[str]]:
    """Exit status, standard output, and the lines of standard error but the greeting."""
    out, err = process.communicate(timeout=LIMIT)
    lines = [line for line in err.splitlines() if not line.startswith("Waiting for the other")]
    return process.returncode, out, lines


@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_process_ends_the_other_with_one_line(victim):
    port = free_port()
    with running((port, 2, 0), (port, 2, 1)) as processes:
        for process in processes:
            assert process.stdout.readline() == "under way\n"
        processes[victim].send_signal(signal.SIGKILL)
        killed = time.monotonic()
        status, _, lines = answer(processes[1 - victim])
    assert status == 1
    assert time.monotonic() - killed < 60
    (line,) = lines
    assert line.startswith("peer.py: error: ")
    assert f"lost contact with host {victim} ({socket.gethostname()})" in line
    assert "--snapshot" in line


@pytest.mark.parametrize("failing", [0, 1])
def test_an_error_of_one_process_is_reported_by_all(failing):
    port = free_port()
    what = ["fail" if rank == failing else "go" for rank in range(2)]
    with running(*((port, 2, rank, what[rank]) for rank in range(2))) as processes:
        answers = [answer(process) for process in processes]
    for rank, (status, _, lines) in enumerate(answers):
        (line,) = lines
        assert status == 1
        assert "cannot read image 7" in line
        assert (f"host {failing} ({socket.gethostname()}) has ended" in line) == (rank != failing)


@pytest.mark.parametrize("failing", [0, 1])
def test_an_early_failure_ends_the_other_processes(failing):
    port = free_port()
    what = ["early" if rank == failing else "go" for rank in range(2)]
    with running(*((port, 2, rank, what[rank]) for rank in range(2))) as processes:
        answers = [answer(process) for process in processes]
    for rank, (status, _, (line,)) in enumerate(answers):
        assert status == 1
        told = f"host {failing} ({socket.gethostname()}) has ended: it ended before training began"
        assert ("cannot read image 3" if rank == failing else told) in line


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_waiting_for_the_others_can_be_ended(number, status):
    with running((free_port(), 2, 0)) as (process,):
        assert process.stderr.readline().startswith("Waiting for the other")
        time.sleep(1)  # until JAX waits
        process.send_signal(number)
        sent = time.monotonic()
        found, _, (line,) = answer(process)
    assert found == status and time.monotonic() - sent < 30
    assert line == f"peer.py: {'interrupted' if status == 130 else 'terminated'}"


def test_different_options_are_named_by_all():
    port = free_port()
    with running((port, 2, 0), (port, 2, 1, "differ")) as processes:
        answers = [answer(process) for process in processes]
    for rank, (status, out, lines) in enumerate(answers):
        (line,) = lines
        assert (status, out) == (2, "")
        here, there = (4, 3) if rank else (3, 4)
        assert f"--epochs is {here} here and {there} there" in line


@pytest.mark.parametrize(
    ("arguments", "seconds", "reason"),
    [
        ([(2, 1)], 1, "cannot reach it within 1 s"),
        ([(2, 0)], 1, "within 1 s: some of them did not join in time"),
        ([(2, 0), (3, 2)], LIMIT, "host 0 was started with fewer --hosts"),
    ],
)
def test_failing_connections_give_a_reason(arguments, seconds, reason):
    port = free_port()
    more = ("go", "--join", str(seconds))
    with running(*((port, *each, *more) for each in arguments)) as processes:
        status, out, lines = answer(processes[-1])
    (line,) = lines
    assert (status, out) == (1, "")
    assert f"127.0.0.1:{port}" in line
    assert reason in line


def test_a_port_that_is_taken():
    with socket.socket(socket.AF_INET6) as taken:
        taken.bind(("::", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with running((port, 1, 0)) as (process,):
            status, _, lines = answer(process)
    (line,) = lines
    assert status == 2
    assert f"--coordinator 127.0.0.1:{port}: cannot listen on that port" in line
