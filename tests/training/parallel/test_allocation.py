"""Reuse of freed memory: pages that the system clears again."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from training.parallel import allocation

FAULTS = """
import resource, sys
from training.parallel import allocation
if sys.argv[1] == "kept":
    assert allocation.keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(2):
    before = faults()
    bytearray(b"x") * 2**26
print(faults() - before)
"""


def faults(how: str) -> int:
    """Pages that were cleared for 64 MiB that had been used and freed before."""
    environment = {k: v for k, v in os.environ.items() if "MALLOC" not in k and "GLIBC" not in k}
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", FAULTS, how],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="this is about glibc")
def test_freed_memory_is_used_again():
    assert faults("kept") < 100 < faults("as usual")


@pytest.mark.parametrize("name", ["MALLOC_ARENA_MAX", "GLIBC_TUNABLES"])
def test_settings_of_the_user_stay(monkeypatch, name):
    monkeypatch.setenv(name, "")
    assert not allocation.keep_freed_memory()
