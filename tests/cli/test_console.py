"""How commands end."""

import argparse
import contextlib
import importlib.util
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli import console
from utils import UsageError, UserError

ROOT = Path(__file__).parents[2]
COMMAND = """
import argparse, logging, sys
from cli import console

def command(args):
    print("caf\u00e9 \u20ac")
    logging.getLogger("results").info("na\u00efve")

sys.exit(console.run(argparse.ArgumentParser("command.py"), command, [], backend=False))
"""


def test_letters_that_standard_output_lacks_are_escaped():
    for encoding, expected in (
        ("ascii", b"caf\\xe9 \\u20ac\nna\\xefve\n"),
        ("utf-8", "café €\nnaïve\n".encode()),
    ):
        outcome = subprocess.run(
            [sys.executable, "-c", COMMAND],
            cwd=ROOT,
            env={**os.environ, "PYTHONIOENCODING": encoding},
            capture_output=True,
        )
        assert outcome.returncode == 0, outcome.stderr
        assert outcome.stdout.splitlines() == expected.splitlines()


READING = """
import sys, time
from cli import console
from training.parallel import startup

def main():
    startup.import_backend()
    import tensorflow as tf
    def slow():
        while True:
            time.sleep(0.2)
            yield 1
    numbers = tf.data.Dataset.from_generator(slow, output_signature=tf.TensorSpec((), tf.int32))
    sys.kept = iter(numbers.prefetch(8))  # to the end of Python, as by an error
    next(sys.kept)
    print("read")
    if "raise" in sys.argv:
        raise RuntimeError("some fault")
    return 143

console.end_process(main)
"""


@pytest.mark.parametrize(("arguments", "status"), [([], 143), (["raise"], 1)])
def test_a_process_ends_while_tensorflow_reads(arguments, status):
    if not importlib.util.find_spec("tensorflow"):
        pytest.skip("TensorFlow is not installed")
    outcome = subprocess.run(
        [sys.executable, "-c", READING, *arguments],
        cwd=ROOT,
        env=os.environ | {"KERAS_BACKEND": "tensorflow"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (outcome.returncode, outcome.stdout) == (status, "read\n")
    assert ("RuntimeError: some fault" in outcome.stderr) == bool(arguments)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no full device")
def test_results_that_cannot_be_written_are_a_failure_but_do_not_end_the_work(tmp_path):
    with open("/dev/full", "w") as full:
        done = run_embedding(tmp_path, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1 and (tmp_path / "e.npz").exists()
    first, last = done.stderr.splitlines()[0], done.stderr.splitlines()[-1]
    reason = "cannot write standard output: No space left on device"
    assert first == f"{reason}; going on"
    assert last == f"compute_class_embedding.py: error: {reason}"
    assert "Traceback" not in done.stderr


def test_streams_may_be_closed(tmp_path):
    def close():
        os.close(1)
        os.close(2)

    done = run_embedding(tmp_path, preexec_fn=close)
    assert done.returncode == 0 and (tmp_path / "e.npz").exists()


def run_embedding(folder: Path, **streams) -> subprocess.CompletedProcess:
    """A command that tells and writes something, without a backend."""
    script = Path(__file__).parents[2] / "compute_class_embedding.py"
    command = [sys.executable, script, "--hierarchy", "cub_flat", "--out", "e.npz"]
    return subprocess.run(command, cwd=folder, text=True, timeout=120, **streams)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
@pytest.mark.parametrize(
    ("error", "status"),
    [(UsageError("no"), 2), (UserError("no"), 1), (KeyboardInterrupt(), 130), (None, 0)],
)
def test_standard_error_that_is_full_leaves_the_status(monkeypatch, error, status):
    def command(args):
        logging.getLogger("any").warning("lost")
        if error:
            raise error

    with contextlib.suppress(OSError), open("/dev/full", "w", 1) as full:
        monkeypatch.setattr(sys, "stderr", full)
        assert console.run(argparse.ArgumentParser(), command, [], backend=False) == status


def test_ctrl_c_while_libraries_are_imported_is_one_line():
    script = "import cli; raise KeyboardInterrupt"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True)
    assert done.stderr == b"-c: interrupted\n" and done.returncode in (130, -2)
    script = "import cli; raise RuntimeError('a fault of the program')"
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True)
    assert b"Traceback" in done.stderr and done.returncode == 1
