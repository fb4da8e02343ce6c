"""The benchmark of the start."""

import json

from benchmarks import start_up
from tests.commands.running import run, succeed

OPTIONS = "--dataset Digits-sub5 --repeats 1 --batch_size 25 --architecture resnet-32"


def test_the_time_of_the_first_step_is_told_and_stored(tmp_path):
    outcome = succeed(start_up, f"--runs 1 --output {tmp_path / 's.json'} -- {OPTIONS}")
    (seconds,) = json.loads((tmp_path / "s.json").read_text())["seconds"]
    assert 1 < seconds < 300
    assert f"Seconds to the first step: {seconds:.1f} (median {seconds:.1f})" in outcome.out


def test_a_run_that_ends_early_is_told(tmp_path):
    outcome = run(start_up, "--runs 1 -- --dataset CUB --data_root", tmp_path / "nowhere")
    assert outcome.status == 1
    assert "ended before its first step" in outcome.err and "nowhere" in outcome.err
