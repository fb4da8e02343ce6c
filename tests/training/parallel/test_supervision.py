"""A command in a child: exit status, signals, and messages when a library aborts it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
LIMIT = 60  # seconds, on a busy machine
COMMAND = """
import argparse, ctypes, os, signal, sys, threading, time
from cli import console
from training.parallel.supervision import explain_aborts
from utils import UsageError, UserError

def abort():
    ctypes.CDLL(None).abort()

def count_signals():
    came = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: came.append(number))
    print("ready", flush=True)
    time.sleep(2)
    sys.exit(128 + sum(came))

def work(args):
    os.write(2, b"E0928 from a library\\n")
    print("child", os.getpid(), flush=True)
    WORK

main = lambda: console.run(
    argparse.ArgumentParser("go.py"), work, [], backend=False, in_child=lambda args: True
)
console.end_process(main)
"""


def start(work: str, **environment: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND.replace("WORK", work)],
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def outcome(process: subprocess.Popen) -> tuple[int, str]:
    _, told = process.communicate(timeout=LIMIT)
    return process.returncode, told


EXPLAINED = "explain_aborts([('no such', UserError('no')), ('E[0-9]+ from', {}('lost host 1'))])"


@pytest.mark.parametrize(
    ("work", "status", "told"),
    [
        ("sys.exit(7)", 7, ""),
        ("raise UserError('wrong')", 1, "go.py: error: wrong\n"),
        ("os.kill(os.getpid(), 9)", 137, ""),
        ("abort()", 134, ""),
        (f"{EXPLAINED.format('UserError')}; abort()", 1, "go.py: error: lost host 1\n"),
        (f"{EXPLAINED.format('UsageError')}; abort()", 2, "go.py: error: lost host 1\n"),
        (
            "explain_aborts([('', UserError('lost'))]); explain_aborts([('', UserError('late'))])\n"
            "    threading.Thread(target=abort).start(); time.sleep(60)",
            1,
            "go.py: error: late\n",
        ),
    ],
)
def test_the_command_ends_like_its_child(work, status, told):
    assert outcome(start(work)) == (status, told)


def test_output_of_libraries_is_shown_on_request():
    assert outcome(start("pass", TF_CPP_MIN_LOG_LEVEL="0")) == (0, "E0928 from a library\n")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_reaches_the_child_once(number, status):
    process = start("count_signals()")
    assert process.stdout.readline().startswith("child")
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    assert outcome(process) == (status, "")


def test_the_child_ends_with_its_parent():
    process = start("time.sleep(600)")
    assert process.stdout.readline().startswith("child")
    process.kill()
    process.communicate(timeout=LIMIT)  # ends when the child, too, has closed its standard output
