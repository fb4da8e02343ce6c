"""The benchmark of training steps, as a user runs it."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "train_step.py"


def run(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.skipif(not importlib.util.find_spec("torch"), reason="PyTorch is not installed")
def test_table_and_measurements(tmp_path):
    output = tmp_path / "storage.plots.json"
    done = run(
        *("--cases", "resnet-110-wfc", "--contestants", "PyTorch", "--precisions", "float32"),
        *("--batch_size", 2, "--steps", 1, "--rounds", 3, "--output", output),
    )
    assert done.returncode == 0, done.stderr
    case = json.loads(output.read_text())["cases"]["resnet-110-wfc"]
    (row,) = case["rows"].values()
    walls = sorted(2 / turn["wall"] for turn in row["turns"])
    assert row["images_per_second"] == walls[1]
    assert row["to_pytorch"] == row["to_float32_per_core"] == 1
    assert f"| PyTorch float32 | {walls[1]:.1f} | 1.00 |" in done.stdout


def test_an_existing_file_is_kept(tmp_path):
    (tmp_path / "storage.plots.json").write_text("kept")
    done = run("--output", tmp_path / "storage.plots.json")
    assert done.returncode == 2 and "--overwrite" in done.stderr
    assert (tmp_path / "storage.plots.json").read_text() == "kept"
