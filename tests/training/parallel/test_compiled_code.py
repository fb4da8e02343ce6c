"""Compiled code of JAX in files: reused, never partial, never of other users."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SCRIPT = """
import json, os, sys
from pathlib import Path

import jax
from jax import monitoring
from training.parallel.compiled_code import keep_compiled_code

home, foreign = map(Path, sys.argv[1:])
found = []
monitoring.register_event_listener(lambda name, **more: found.append(name))

def compute():
    found.clear()
    jax.clear_caches()
    value = float(jax.jit(lambda x: jax.numpy.sin(x) ** 3 + 1)(0.7))
    hits, misses = (sum(name.endswith(end) for name in found) for end in ("_hits", "_misses"))
    (file,) = home.glob("cosine-loss/jax-*/jit__lambda*-cache")
    return [value, hits, misses, file.stat().st_size]

keep_compiled_code()
outcomes = [compute(), compute()]
(file,) = home.glob("cosine-loss/jax-*/jit__lambda*-cache")
file.write_bytes(file.read_bytes()[:100])  # as a killed process would leave it
outcomes += [compute(), compute()]
names = sorted(path.name.split("-")[0] for path in file.parent.iterdir())
os.environ["XDG_CACHE_HOME"] = str(foreign)
keep_compiled_code()
print(json.dumps([outcomes, names, jax.config.jax_enable_compilation_cache]))
"""


@pytest.mark.skipif(not importlib.util.find_spec("jax"), reason="JAX is not installed")
def test_compiled_code_is_kept_whole_and_only_in_private_folders(tmp_path):
    home, foreign = tmp_path / "home", tmp_path / "foreign"
    for folder in (home, foreign / "cosine-loss"):
        folder.mkdir(parents=True)
    foreign.chmod(0o777)
    settings = {
        "XDG_CACHE_HOME": str(home),
        "JAX_COMPILATION_CACHE_DIR": "",
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, home, foreign],
        cwd=ROOT,
        env=os.environ | settings,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    outcomes, names, enabled = json.loads(done.stdout)
    (value, _, misses, size), again, damaged, replaced = outcomes
    assert misses >= 1 and size > 100
    assert again == [value, misses, 0, size]
    # The damaged file is not used, and replaced by a whole one.
    assert damaged[0] == value and damaged[2] == 1 and damaged[3] > 100
    assert replaced == [value, misses, 0, damaged[3]]
    assert "Error reading persistent compilation cache entry" in done.stderr
    assert all(name.startswith("jit_") for name in names)  # nothing unfinished
    folder = next(home.glob("cosine-loss/jax-*"))
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (
        not enabled and f"not kept for the next run: others can write to {foreign}" in done.stderr
    )
