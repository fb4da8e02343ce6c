"""The same command trains the same network under every backend."""

import contextlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands.running import history

ROOT = Path(__file__).parents[3]
# One batch of all 100 images: the loss of the first step, before any weight has changed.
COMMAND = (
    "learn_classifier --dataset Digits-sub10 --repeats 1 --architecture tiny-residual "
    "--batch_size 100 --val_batch_size 448 --epochs 1 --history"
)


def start(backend: str, path: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.commands.process", *COMMAND.split(), str(path)],
        cwd=ROOT,
        # As users do, unlike all other tests: compiled with all of XLA's optimizations.
        env=os.environ | {"KERAS_BACKEND": backend, "XLA_FLAGS": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.skipif(not importlib.util.find_spec("jax"), reason="JAX is not installed")
@pytest.mark.skipif(not importlib.util.find_spec("tensorflow"), reason="TensorFlow is missing")
def test_the_first_step_is_the_same_under_tensorflow_and_jax(tmp_path):
    paths = {name: tmp_path / f"{name}.csv" for name in ("tensorflow", "jax")}
    with contextlib.ExitStack() as stack:
        for process in [stack.enter_context(start(*each)) for each in paths.items()]:
            output, _ = process.communicate()
            assert process.returncode == 0, output
    (one,), (other,) = (history(path) for path in paths.values())
    assert one["lr"] == other["lr"] == pytest.approx(0.1)
    assert abs(one["loss"] - other["loss"]) <= 1e-5 * max(1, one["loss"])
    assert one["acc"] == pytest.approx(other["acc"], abs=1e-6)
