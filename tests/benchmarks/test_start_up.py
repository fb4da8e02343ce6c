"""The benchmark of the start, and its profile."""

import json
from pathlib import Path

from benchmarks import start_up, start_up_profile
from tests.commands.running import TINY, run, succeed

OPTIONS = "--dataset Digits-sub5 --repeats 1 --batch_size 25 --architecture simple"


def test_the_time_of_the_first_step_is_printed_and_stored(tmp_path):
    outcome = succeed(start_up, f"--runs 1 --output {tmp_path / 's.json'} -- {OPTIONS}")
    (seconds,) = json.loads((tmp_path / "s.json").read_text())["seconds"]
    assert 1 < seconds < 300
    assert f"Seconds to the first step: {seconds:.1f} (median {seconds:.1f})" in outcome.out


def test_a_run_that_ends_early_is_reported():
    outcome = run(start_up, "--runs 1 -- --dataset Digits --epochs none")
    assert outcome.status == 1
    assert "ended before its first step" in outcome.err and "--epochs: 'none'" in outcome.err


def test_parts_of_the_start(tmp_path):
    outcome = succeed(start_up_profile, f"--output {tmp_path / 'p.json'} -- {TINY} --epochs 2")
    parts = json.loads((tmp_path / "p.json").read_text())["seconds"]
    assert list(parts) == [
        "Python and options",
        "import of the backend",
        "data set",
        "building the network",
        "batches and validation",
        "optimizer",
        "beginning of fit",
        "tracing the step",
        "first step",
        "second step, to compare",
    ]
    assert all(part["wall"] >= 0 for part in parts.values())
    assert parts["tracing the step"]["wall"] > parts["second step, to compare"]["wall"]
    assert len(outcome.out.splitlines()) == 2 + len(parts)


def test_a_run_of_two_steps_is_too_short(tmp_path):
    options = TINY.replace("--batch_size 20", "--batch_size 25")
    outcome = run(start_up_profile, f"-- {options} --epochs 1")
    assert outcome.status == 1
    assert "ended before its third step, with exit status 0" in outcome.err


def test_pairs_share_a_folder_of_compiled_code_that_is_empty_at_first(tmp_path, monkeypatch):
    seen = []

    def first_step(options, environment):
        assert environment["JAX_ENABLE_COMPILATION_CACHE"] == "1"
        folder = Path(environment["JAX_COMPILATION_CACHE_DIR"])
        seen.append((folder, [path.name for path in folder.iterdir()]))
        (folder / "compiled").touch()
        return 9.0 - len(seen)

    monkeypatch.setattr(start_up, "_first_step", first_step)
    outcome = succeed(start_up, f"--pairs --runs 2 --output {tmp_path / 's.json'} -- x")
    (one, nothing), (same, there), (other, again), _ = seen
    assert one == same != other and (nothing, there, again) == ([], ["compiled"], [])
    stored = json.loads((tmp_path / "s.json").read_text())
    assert [run["seconds"] for run in stored["first_runs"]] == [8, 6]
    assert [run["seconds"] for run in stored["second_runs"]] == [7, 5]
    assert "second runs, seconds: 7.0, 5.0 (median 6.0)" in outcome.out
