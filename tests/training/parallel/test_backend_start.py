"""The start of the backend: what it leaves out, and which backend it is."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from training.parallel.startup import backend_name, import_backend
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
    print(json.dumps([keras.backend.backend(), early]))

sys.exit(console.run(argparse.ArgumentParser(), work, []))
"""


def start(**environment: str) -> tuple[str, list[str]]:
    """The name of the backend, and the libraries that came with it."""
    clean = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    done = subprocess.run(
        [sys.executable, "-c", START],
        cwd=ROOT,
        env=clean | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return tuple(json.loads(done.stdout))


def test_tensorflow_starts_without_libraries_that_it_does_not_need():
    """They can still be imported later: the process that is started does so."""
    assert start(KERAS_BACKEND="tensorflow") == ("tensorflow", ["tensorflow"])


@pytest.mark.skipif(not importlib.util.find_spec("jax"), reason="JAX is not installed")
def test_jax_starts_without_tensorflow():
    assert start(KERAS_BACKEND="jax") == ("jax", ["jax"])


@pytest.mark.skipif(not importlib.util.find_spec("jax"), reason="JAX is not installed")
def test_the_backend_in_the_settings_of_keras_is_found(tmp_path):
    (tmp_path / "keras.json").write_text(json.dumps({"backend": "jax"}))
    assert start(KERAS_HOME=str(tmp_path)) == ("jax", ["jax"])


@pytest.mark.parametrize(
    "content", ["[]", "7", 100_000 * "[", '{"backend": ["tensorflow"]}', '{"backend": null}']
)
def test_settings_that_keras_cannot_read_are_named(tmp_path, monkeypatch, content):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "keras.json").write_text(content)
    with pytest.raises(UsageError, match=r"keras\.json has no settings that Keras can read"):
        backend_name()


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (FileNotFoundError(2, "No usable temporary directory found"), "No usable temporary"),
        (MemoryError(), "out of memory"),
        (ImportError("failed to map\nsegment"), "failed to map segment"),
    ],
)
def test_a_backend_that_cannot_start_is_one_line(monkeypatch, error, named):
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


def test_the_types_are_those_of_the_project_whatever_the_settings_say(tmp_path):
    settings = {"backend": "jax", "floatx": "float16", "image_data_format": "channels_first"}
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    script = START.replace("keras.backend.backend()", "keras.config.floatx()").replace(
        "early]", "keras.config.image_data_format()]"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, "KERAS_HOME": str(tmp_path), "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines()[-1:] == ['["float32", "channels_last"]'], done.stderr
