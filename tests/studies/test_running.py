"""Both stages of a study, with trials that a fake engine ends at once."""

import json
import signal
from dataclasses import replace

import pytest

import study
from studies import results, running
from studies.results import read_runs, write_runs
from studies.running import repetitions
from studies.study import Study, load
from sweeping.grid import VALIDATION
from sweeping.stopping import StopRequest
from tests.commands.running import run
from tests.studies.test_results import PART, ended, write_trial

STUDY = Study("digits", "Made by hand", reduced=(PART,))
RATE = {"xent": {0.5: 0.3, 0.1: 0.6}, "cosine": {0.5: 0.9, 0.1: 0.6}}
"""Best accuracy by rate; held-out samples prefer the other rate."""


@pytest.fixture
def engine(monkeypatch):
    """A fake engine that notes the trials of each stage; the names of those that do not end."""
    monkeypatch.setattr(study, "load", lambda name: STUDY)
    stages, failing, stops = [], set(), []

    def run_missing(report, commands, machines):
        missing = [trial for trial in report.trials if not report.finished(trial)]
        stages.append([trial.name for trial in missing])
        for trial in missing:
            if trial.name in failing:
                continue
            point = trial.point
            best = RATE[point.loss][point.learning_rate]
            shown = best if trial.protocol == "paper" else 1 - best
            write_trial(report.store, point, trial.protocol, best=shown, last=shown)
            report.results[trial] = report.store.result(trial)
        request = StopRequest()
        request.signal = stops.pop() if stops else None
        return request

    monkeypatch.setattr(running, "run_missing", run_missing)
    return stages, failing, stops


def test_rates_are_searched_and_repeated_with_all_seeds(engine, tmp_path):
    stages, _, _ = engine
    outcome = run(study, f"run digits --out {tmp_path}/out")
    assert outcome.status == 0, outcome.err
    search, repeated = stages
    assert len(search) == 8 and all("Digits-sub5" in name for name in search)
    at = {(name.split("_")[1], name.split("_")[2]) for name in repeated}
    both = {(loss, f"lr{rate}") for loss in ("xent", "cosine") for rate in (0.5, 0.1)}
    assert at == both  # one of them by each protocol
    assert len(repeated) == 2 * 2 * 2 * 3 - 4  # sizes, losses, rates, seeds; four ended before
    assert not any(name.endswith("_val") for name in repeated)
    assert len(read_runs(tmp_path / "out")) == 8 + 20
    assert "| Digits-sub5 | cosine, one-hot | 60.0 | 90.0 ± 0.0 | +30.0 | 0.5 |" in outcome.out
    again = run(study, f"run digits --out {tmp_path}/out")
    assert again.status == 0 and stages[2:] == [[], []]


def test_only_what_the_stored_results_lack_is_run(engine, monkeypatch, tmp_path):
    stages, _, _ = engine
    assert run(study, f"run digits --out {tmp_path}/all").status == 0
    everything = read_runs(tmp_path / "all")
    lacking = {"Digits-sub5_xent_lr0.5_seed2", "Digits-sub2_cosine_lr0.1_seed1"}
    kept = [run for run in everything if run.name not in lacking]
    (tmp_path / "stored" / "digits").mkdir(parents=True)
    write_runs(tmp_path / "stored" / "digits", kept)
    monkeypatch.setattr(results, "STORED", tmp_path / "stored")
    stages.clear()
    assert run(study, f"run digits --out {tmp_path}/out --stored").status == 0
    assert set(stages[0] + stages[1]) == lacking
    assert {run.name for run in read_runs(tmp_path / "out")} == lacking
    only = "--only Digits-sub5_xent_lr0.1_*"
    for more in (only, f"{only} --dry_run"):
        outcome = run(study, f"run digits --out {tmp_path}/none --stored {more}")
        assert outcome.status == 0
        assert "The stored results have all of these trials" in outcome.err


def test_a_failed_trial_stops_no_others_and_is_named(engine, tmp_path):
    stages, failing, _ = engine
    failing.add("Digits-sub5_xent_lr0.5_seed0")
    outcome = run(study, f"run digits --out {tmp_path}/out")
    assert outcome.status == 1
    last = outcome.err.splitlines()[-1]
    # The held-out rate of cross-entropy is 0.5; that of the paper's protocol is not known yet.
    assert "1 of 23 trials failed: Digits-sub5_xent_lr0.5_seed0 (" in last
    assert not any("xent_lr0.1_seed1" in name for name in stages[1])
    assert len(read_runs(tmp_path / "out")) == 7 + 15


def test_a_signal_ends_it_with_the_results_so_far(engine, tmp_path):
    stages, _, stops = engine
    stops.append(signal.SIGTERM)
    outcome = run(study, f"run digits --out {tmp_path}/out")
    assert outcome.status == 143 and len(stages) == 1
    told = "study.py: terminated; 8 trials are finished; repeat the command to resume"
    assert outcome.err.splitlines()[-1] == told
    assert len(read_runs(tmp_path / "out")) == 8


def test_only_trials_with_such_names_are_run(engine, tmp_path):
    stages, _, _ = engine
    outcome = run(
        study, f"run digits --out {tmp_path}/out --only Digits-sub5_xent_lr0.1_seed0 *_seed2"
    )
    assert outcome.status == 0
    assert stages == [
        ["Digits-sub5_xent_lr0.1_seed0"],
        ["Digits-sub2_xent_lr0.1_seed2", "Digits-sub5_xent_lr0.1_seed2"],
    ]


@pytest.mark.parametrize("more", ["", " --dry_run"])
def test_trials_at_a_rate_that_is_not_chosen_yet_are_refused(engine, tmp_path, more):
    only = "Digits-sub2_*_lr0.1_seed1"
    outcome = run(study, f"run digits --out {tmp_path}/out --only {only}{more}")
    assert outcome.status == 2
    assert outcome.err.splitlines()[-1] == (
        f"study.py: error: --only {only}: these trials have the learning rate that "
        "others choose; run those first, such as Digits-sub5_xent_lr0.5_seed0"
    )


def test_seeds_wait_for_the_whole_search_on_held_out_samples():
    part = replace(PART, search=replace(PART.search, protocols=(VALIDATION,)))
    cell, search = ("Digits-sub5", "xent"), part.first_trials()
    part = replace(part, losses=("xent",))
    runs = {
        t.name: ended(*cell, t.point.learning_rate, 0, held_out=0.5)
        for t in search
        if t.point.loss == "xent"
    }
    assert {t.point.learning_rate for t in repetitions(part, runs)} == {0.5}
    runs.popitem()
    assert repetitions(part, runs) == [] != repetitions(part, runs, partial=True)


def test_only_trials_of_one_part_are_run(engine, monkeypatch, tmp_path):
    parts = tuple(replace(PART, folder=folder) for folder in ("first", "second"))
    monkeypatch.setattr(study, "load", lambda name: replace(STUDY, reduced=parts))
    outcome = run(study, f"run digits --out {tmp_path}/out --only second/*_xent_lr0.1_seed0")
    assert outcome.status == 0
    assert engine[0] == [["Digits-sub5_xent_lr0.1_seed0"], ["Digits-sub2_xent_lr0.1_seed0"]]
    assert {run.folder for run in read_runs(tmp_path / "out")} == {"second"}


def test_only_folders_of_selected_trials_are_needed(engine, monkeypatch, tmp_path):
    part = replace(
        PART,
        datasets=("CUB", "NAB"),
        search=replace(PART.search, dataset=None),
        published_accuracies={},
    )
    monkeypatch.setattr(study, "load", lambda name: replace(STUDY, reduced=(part,)))
    options = f"run digits --out {tmp_path}/out --data_root CUB={tmp_path}"
    outcome = run(study, f"{options} --only CUB_cosine_lr0.5_seed0")
    assert outcome.status == 0 and engine[0][0] == ["CUB_cosine_lr0.5_seed0"]
    outcome = run(study, f"{options} --only *_cosine_lr0.5_seed0")
    assert outcome.status == 2
    assert outcome.err.splitlines()[-1].endswith("--data_root NAB=DIR: give the folder of NAB")


@pytest.mark.parametrize("more", ["", " --dry_run"])
def test_a_pattern_without_trials_is_an_error(engine, tmp_path, more):
    outcome = run(study, f"run digits --out {tmp_path}/out --only x* *_seed7{more}")
    assert outcome.status == 2 and not (tmp_path / "out").exists()
    assert outcome.err.splitlines()[-1] == (
        "study.py: error: --only x* *_seed7: digits has no trial with such a name; the first is "
        f"{PART.trials()[0].name}"
    )


def test_commands_at_rates_yet_to_be_chosen_are_shown(engine, tmp_path):
    show = f"run digits --out {tmp_path}/out --dry_run"
    lines = run(study, show).out.splitlines()
    assert len(lines) == 8 + 2 * (3 + 2)  # candidates; of the larger set, one seed is among them
    assert sum(" --sgdr_max_lr LR --seed 2 " in line for line in lines) == 2 * 2
    assert run(study, f"run digits --out {tmp_path}/out").status == 0
    assert run(study, show).out == ""


def test_other_settings_of_a_folder_are_reported_before_any_run(engine, tmp_path):
    out = tmp_path / "out"
    assert run(study, f"run digits --out {out}").status == 0
    files = {file: file.read_bytes() for file in out.rglob("*") if file.is_file()}
    settings = json.loads((out / "sweep.json").read_text())
    for more in ("", " --dry_run"):
        (out / "sweep.json").write_text(json.dumps(settings | {"--epochs": "9"}))
        outcome = run(study, f"run digits --out {out}{more}")
        assert outcome.status == 2
        assert "its trials were run with --epochs 9 instead of 3; give" in outcome.err
        (out / "sweep.json").write_bytes(files[out / "sweep.json"])
        assert files == {file: file.read_bytes() for file in out.rglob("*") if file.is_file()}


def test_initial_weights_of_trials_must_exist(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for options, message in (
        (
            "run figure-3 --scale paper --data_root AG-News=.",
            "--word_vectors glove.6B.300d.txt: put this file into the current folder",
        ),
        (
            "run table-2 --scale paper --data_root . --only CUB-caffe_*",
            "--finetune FILE: give the ILSVRC weights from which these trials start",
        ),
        (
            "run table-2 --scale paper --data_root . --only CUB-caffe_* --finetune nowhere.h5",
            "--finetune nowhere.h5: there is no such file",
        ),
    ):
        outcome = run(study, options)
        assert outcome.status == 2 and not any(tmp_path.iterdir())
        assert outcome.err.splitlines()[-1] == f"study.py: error: {message}"


def test_the_precision_goes_to_runs_that_do_not_set_it(tmp_path):
    for part in (load("digits").reduced[0], load("baselines").reduced[0]):
        request = running.Request(tmp_path, precision="float16")
        command = running._commands(part, request).of(part.trials()[0], tmp_path)
        assert command.count("--mixed_precision") == 1
        value = command[command.index("--mixed_precision") + 1]
        assert value == ("bfloat16" if "bfloat16" in part.options else "float16")
