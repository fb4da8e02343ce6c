"""Exit statuses and error messages of commands."""

import argparse
import contextlib
import errno
import importlib.util
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cli import console, failures
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
    assert first == f"{reason}; continuing"
    assert last == f"compute_class_embedding.py: error: {reason}"
    assert "Traceback" not in done.stderr


def test_streams_may_be_closed(tmp_path):
    def close():
        os.close(1)
        os.close(2)

    done = run_embedding(tmp_path, preexec_fn=close)
    assert done.returncode == 0 and (tmp_path / "e.npz").exists()


def run_embedding(folder: Path, **streams) -> subprocess.CompletedProcess:
    """Run a command that prints and writes something, without a backend."""
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


@pytest.mark.parametrize(
    ("failure", "line", "statuses"),
    [
        ("os.kill(os.getpid(), signal.SIGINT); time.sleep(9)", "interrupted", (130, -2)),
        ("raise MemoryError", "error: out of memory", (1,)),
        ("raise ImportError('x.so: failed to map segment')", "error: out of memory", (1,)),
        ("raise RuntimeError('a fault')", None, (1,)),
    ],
)
def test_failing_imports_give_a_one_line_error(tmp_path, failure, line, statuses):
    (tmp_path / "numpy.py").write_text(f"import os, signal, time; {failure}")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    for script in [path for path in ROOT.glob("*.py") if "__main__" in path.read_text()]:
        command = [sys.executable, script, "--help"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode in statuses
        assert done.stderr == f"{script.name}: {line}\n" if line else "Traceback" in done.stderr
        if not line:
            break


@pytest.mark.parametrize(
    "error",
    [
        np._core._exceptions._ArrayMemoryError((10**9,), np.dtype("f8")),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to"),
        RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 8 bytes"),
        RuntimeError("OOM when allocating tensor with shape[8]"),
        OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
    ],
)
def test_running_out_of_memory_gives_a_one_line_error(capsys, error):
    failures.show(type(error), error, None)
    assert capsys.readouterr().err.endswith(": error: out of memory\n")
