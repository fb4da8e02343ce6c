"""Processes of trials, which end with the process that started them; see ``trial_process``.

Imports nothing heavy: Ray's workers import this module.
"""

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

GRACE = 60
"""Seconds in which a process that is stopped has to save its state."""

_SCRIPT = Path(__file__).with_name("trial_process.py")
_POLL = 0.2  # seconds


def start(
    command: Sequence[str],
    folder: Path,
    log: IO[bytes],
    environment: Mapping[str, str],
    python: str = sys.executable,
    cwd: str | None = None,
) -> subprocess.Popen:
    """Start a process of a trial.

    Args:
        command: script and arguments.
        folder: whose lock the process holds.
        log: file for its output.
        environment: additional variables.
        python: interpreter.
        cwd: working directory; None: the current one.
    """
    return subprocess.Popen(
        [python, str(_SCRIPT), str(GRACE), str(folder / ".lock"), *command],
        stdin=subprocess.PIPE,  # the system closes it with this process
        stdout=log,
        stderr=subprocess.STDOUT,
        cwd=cwd,
        env=os.environ | environment,
        start_new_session=True,  # Ctrl-C on the terminal is for the command only
    )


def stop(process: subprocess.Popen) -> None:
    """End a process, which saves its state first."""
    process.stdin.close()
    try:
        process.wait(GRACE + 5)
    except subprocess.TimeoutExpired:
        process.kill()


def run_job(
    commands: Sequence[Sequence[str]],
    folder: Path,
    environment: Mapping[str, str],
    python: str,
    cwd: str,
) -> int:
    """Run processes one after the other on a worker; return the first exit status other than 0.

    Args:
        commands: script and arguments of each.
        folder: for ``log.txt`` and ``attempts.csv``, both continued if they exist.
        environment: additional variables.
        python: interpreter.
        cwd: working directory.
    """
    # Ray cancels by SIGINT, which is ignored if Ray was started in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def run(command: Sequence[str], log: IO[bytes]) -> int:
        log.write(f"$ python {shlex.join(command)}\n".encode())
        process = start(command, folder, log, environment, python, cwd)
        try:
            while process.poll() is None:
                time.sleep(_POLL)  # cancelling raises KeyboardInterrupt here
            return process.returncode
        finally:
            stop(process)

    started, status = time.time(), "stopped"
    with open(folder / "log.txt", "ab", buffering=0) as log:
        try:
            status = next(filter(None, (run(command, log) for command in commands)), 0)
        finally:
            _append_attempt(folder / "attempts.csv", started, status)
    return status


def _append_attempt(file: Path, started: float, status: int | str) -> None:
    row = f"{started:.0f},{time.time() - started:.1f},{status},{socket.gethostname()}\n"
    with open(file, "a") as attempts:
        attempts.write(row if attempts.tell() else f"started,seconds,status,host\n{row}")
