"""The benchmark of whole epochs, as a user runs it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "end_to_end.py"


def test_table_and_measurements(tmp_path):
    output = tmp_path / "storage.plots.json"
    options = "--dataset Digits-sub1 --repeats 1 --batch_size 5"
    done = subprocess.run(
        [sys.executable, SCRIPT, "--rounds", "2", "--output", output, "--", *options.split()],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(output.read_text())
    # Ten images, in two steps.
    assert report["images"] == 10
    command, alone = (report["seconds"][name] for name in ("command", "step alone"))
    assert report["shares"] == pytest.approx([a / c for a, c in zip(alone, command, strict=True)])
    assert f"| command, first epoch | {10 / command[0]:.1f} |" in done.stdout
    assert f"| command, later epochs | {10 / command[1]:.1f} |" in done.stdout
