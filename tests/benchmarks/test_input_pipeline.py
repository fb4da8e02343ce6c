"""The benchmark of the input pipeline, in this process."""

import json
import statistics

import pytest

from benchmarks import input_pipeline
from tests.fake_data import write_cifar100, write_cub

# Answers as ``torchvision_loader`` does, in no time, after it has read what it shall load.
LOADER = """#!/bin/sh
read task
while read way workers; do echo '{"images": 4, "wall": 1e-9, "cpu": 2e-9}'; done
"""


def test_table_and_measurements(tmp_path, capsys):
    pytest.importorskip("tensorflow")  # tf.data is one of the rivals
    python, output = tmp_path / "python", tmp_path / "storage.plots.json"
    python.write_text(LOADER)
    python.chmod(0o755)
    options = [
        *("--data_root", write_cub(tmp_path / "cub"), "--images", 4, "--batch_size", 2),
        *("--cifar_root", write_cifar100(tmp_path / "cifar"), "--workers", 1, "--rounds", 3),
        *("--torchvision_python", python, "--output", output),
    ]
    assert input_pipeline.main([str(option) for option in options]) == 0
    report = json.loads(output.read_text())
    for table in report["files"], report["cifar"]:
        reference = table[input_pipeline.PUBLISHED]["rounds"]["per_second"]
        assert len(table) > 1
        for row in table.values():
            rounds = row["rounds"]["per_second"]
            assert row["per_second"] == sorted(rounds)[1]
            ratios = [a / b for a, b in zip(rounds, reference, strict=True)]
            assert row["ratio"] == statistics.median(ratios)
    rows = report["ratios_to_torchvision"]
    assert len(rows) == 2 * len(input_pipeline.TORCHVISION)
    ours = report["files"]["ours, --cache off, 1 workers"]["rounds"]["per_core_second"]
    assert rows[0]["per_core_second"] == pytest.approx(sorted(ours)[1] * 2e-9 / 4)
    assert min(report["shares"].values()) > -1
    assert "| ours, --cache off, 1 workers |" in capsys.readouterr().out


def test_augmentations_are_compared_with_flips_and_crops(tmp_path):
    python, output = tmp_path / "python", tmp_path / "report.json"
    python.write_text(LOADER)
    python.chmod(0o755)
    options = [
        *("--data_root", write_cub(tmp_path / "cub"), "--images", 2, "--batch_size", 2),
        *("--augmentations", "--workers", 0, "--rounds", 1),
        *("--torchvision_python", python, "--output", output),
    ]
    assert input_pipeline.main([str(option) for option in options]) == 0
    table = json.loads(output.read_text())["augmentations"]
    assert table["flip and crop, inline"]["ratio"] == 1
    ours = [name for name in table if not name.startswith("torchvision")]
    assert len(table) - len(ours) == len(input_pipeline.RANDAUGMENT)
    assert {"RandAugment 2 9, inline", "CutMix, inline", "MixUp, inline"} <= set(ours)
    for row in table.values():
        plain = table["flip and crop, inline"]["per_second"]
        assert row["ratio"] == pytest.approx(row["per_second"] / plain)


def test_augmentations_are_those_of_image_files(capsys):
    assert input_pipeline.main(["--augmentations", "--cifar_root", "x"]) == 2
    assert "give --data_root" in capsys.readouterr().err
