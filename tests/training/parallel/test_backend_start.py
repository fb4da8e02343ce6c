"""The start of the backend: choice, libraries that are not imported, reuse of freed memory."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from training.parallel.startup import backend_name, import_backend, keep_freed_memory
from utils import UsageError

ROOT = Path(__file__).parents[3]
START = """
import argparse, json, sys
from cli import console

def work(args):
    import keras
    from training.parallel import backend
    backend.configure(0, None)
    early = sorted({"jax", "matplotlib", "sklearn", "tensorflow"} & set(sys.modules))
    import matplotlib.pyplot, sklearn.svm, tensorflow
    config = keras.config
    print(json.dumps([config.backend(), early, config.floatx(), config.image_data_format()]))

sys.exit(console.run(argparse.ArgumentParser(), work, []))
"""
FAULTS = """
import resource, sys
from training.parallel.startup import keep_freed_memory
if sys.argv[1] == "kept":
    assert keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(2):
    before = faults()
    bytearray(b"x") * 2**26
print(faults() - before)
"""
SETTINGS = {"backend": "jax", "floatx": "float16", "image_data_format": "channels_first"}


@pytest.mark.parametrize(
    ("variables", "expected"), [({}, "jax"), ({"KERAS_BACKEND": "tensorflow"}, "tensorflow")]
)
def test_a_backend_starts_without_the_others_and_with_the_types_of_the_project(
    tmp_path, variables, expected
):
    """Libraries that it does not need can still be imported: the process that is started does."""
    if not importlib.util.find_spec(expected):
        pytest.skip(f"{expected} is not installed")
    (tmp_path / "keras.json").write_text(json.dumps(SETTINGS))
    clean = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    done = subprocess.run(
        [sys.executable, "-c", START],
        cwd=ROOT,
        env=clean | {"KERAS_HOME": str(tmp_path)} | variables,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [expected, [expected], "float32", "channels_last"]


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (FileNotFoundError(2, "No usable temporary directory found"), "No usable temporary"),
        (MemoryError(), "out of memory"),
        (ImportError("failed to map\nsegment"), "failed to map segment"),
    ],
)
def test_an_unavailable_backend_gives_a_one_line_error(monkeypatch, error, named):
    def count(kind):
        raise error

    monkeypatch.setattr("training.parallel.devices.count", count)
    with pytest.raises(UsageError, match=f"cannot be used: .*{named}"):
        import_backend()


def test_users_without_a_home_have_the_default_backend(monkeypatch):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.delenv("KERAS_HOME", raising=False)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 987_654_321)
    assert backend_name() == "tensorflow"


def cleared_pages(how: str) -> int:
    """Pages that were cleared for 64 MiB that had been used and freed before."""
    environment = {k: v for k, v in os.environ.items() if "MALLOC" not in k and "GLIBC" not in k}
    done = subprocess.run(
        [sys.executable, "-c", FAULTS, how],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="this is about glibc")
def test_freed_memory_is_used_again():
    assert cleared_pages("kept") < 100 < cleared_pages("as usual")


@pytest.mark.parametrize("name", ["MALLOC_ARENA_MAX", "GLIBC_TUNABLES"])
def test_settings_of_the_user_stay(monkeypatch, name):
    monkeypatch.setenv(name, "")
    assert not keep_freed_memory()
