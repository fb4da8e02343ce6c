"""sweep.py on Ray: stopped, resumed and extended sweeps, and errors."""

import csv
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import sweep
from tests.commands.running import history, record, run

ROOT = Path(__file__).parents[3]
EPOCHS = 16
PASSED_ON = (
    f"-- --architecture tiny --epochs {EPOCHS} --repeats 1 --batch_size 25 --val_batch_size 448 "
    "--top_k_acc 3"
)
GRID = "--datasets digits-SUB5 --losses cosine+xent --learning_rates 0.1 --val_fraction 0.4"
NAMES = ("Digits-sub5_cosine+xent_lr0.1_seed0", "Digits-sub5_cosine+xent_lr0.1_seed0_val")
BROKEN = "Folder_cosine+xent_lr0.1_seed0"

FIGURES = ("paper_best_test_accuracy", "val_last_accuracy", "val_test_accuracy")

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None,
    reason="Ray is not installed (requirements-sweep.txt)",
)


def start(folder, *options):
    """The command as a process of its own, in a folder."""
    (folder / "commands").mkdir(exist_ok=True)
    script = [sys.executable, "-m", "tests.commands.sweeps.tiny_sweep", str(folder / "commands")]
    return subprocess.Popen(
        [*script, *" ".join(options).split()],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def processes_of(folder):
    """Command lines of running processes that name the folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return [line for line in found if f"{folder}/out/trials" in line]


def wait_until(condition, process, seconds=120):
    limit = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < limit, "took too long"
        time.sleep(0.1)


def epochs_of(path):
    return history(path) if path.exists() else []


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    for part in ("train", "test"):
        (folder / "broken" / part / "cat").mkdir(parents=True)
        (folder / "broken" / part / "cat" / "1.png").write_bytes(b"no image")
    return folder


@pytest.fixture(scope="module")
def stopped(folder):
    """A sweep of two trials that is stopped when both have done some epochs."""
    process = start(folder, "--out out", GRID, PASSED_ON)
    paths = [folder / "out/trials" / name / "history.csv" for name in NAMES]
    wait_until(lambda: any(len(epochs_of(path)) > 1 for path in paths), process)
    refused = run(sweep, f"--out {folder}/out {GRID} {PASSED_ON}")
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err, refused, processes_of(folder)


@pytest.fixture(scope="module")
def extended(folder, stopped):
    """The same with one more data set, whose trials fail."""
    grid = GRID.replace("digits-SUB5", "Digits-sub5 Folder")
    process = start(folder, "--out out --data_root Folder=broken", grid, PASSED_ON)
    out, err = process.communicate(timeout=600)
    return process.returncode, out, err


def table(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@needs_ray
def test_a_stopped_sweep_explains_resuming_and_leaves_no_process(stopped):
    status, _, err, _, processes = stopped
    assert status == 143, err
    last = err.splitlines()[-1]
    assert last.startswith("sweep.py: terminated; ") and last.endswith(
        "repeat the command to resume"
    )
    assert "Traceback" not in err and len(err.splitlines()) <= 5
    assert processes == []


@needs_ray
def test_a_second_sweep_in_the_same_folder_is_refused(stopped):
    refused = stopped[3]
    assert refused.status == 2 and "another sweep is running there" in refused.err


@needs_ray
def test_trials_resume(folder, stopped, extended):
    logs = [(folder / "out/trials" / name / "log.txt").read_text() for name in NAMES]
    assert any("Resuming from" in log for log in logs)
    for name in NAMES:
        rows = history(folder / "out/trials" / name / "history.csv")
        assert [row["epoch"] for row in rows] == list(range(1, EPOCHS + 1))
        attempts = table(folder / "out/trials" / name / "attempts.csv")
        assert [attempt["status"] for attempt in attempts][-1] == "0"
        assert not list((folder / "out/trials" / name).glob("*snapshot*"))


@needs_ray
def test_trials_that_fail_are_named_and_stop_no_others(folder, extended):
    status, out, err = extended
    assert status == 1 and "Traceback" not in err
    failed = [BROKEN, f"{BROKEN}_val"]
    last = err.splitlines()[-1]
    assert last.startswith("sweep.py: error: 2 of 4 trials failed: ")
    for name in failed:
        assert f"{name} ({folder}/out/trials/{name}/log.txt)" in last
    lines = [line for line in out.splitlines() if line.startswith("[")]
    assert sorted(line[:5] for line in lines) == [f"[{i}/4]" for i in range(1, 5)][-len(lines) :]
    told = [line for line in lines if "failed, exit status " in line]
    assert len(told) == 2 and all("Folder cosine+xent" in line for line in told)


@needs_ray
def test_the_row_of_a_point_has_both_selections(folder, extended):
    good, bad = table(folder / "out/trials.csv")
    assert (bad["dataset"], bad["paper_status"], bad["val_status"]) == ("Folder", *["failed"] * 2)
    assert bad["paper_best_test_accuracy"] == bad["val_test_accuracy"] == ""
    paper, held_out = (folder / "out/trials" / name / "history.csv" for name in NAMES)
    tested = [row["val_prob_acc"] for row in history(paper)]
    validated = [row["val_prob_acc"] for row in history(held_out)]
    final = record(held_out)["final"]
    assert {name: good[name] for name in ("dataset", "loss", "options")} == {
        "dataset": "Digits-sub5",
        "loss": "cosine+xent",
        "options": PASSED_ON.removeprefix("-- "),
    }
    expected = {
        "learning_rate": 0.1,
        "seed": 0,
        "paper_epochs": EPOCHS,
        "paper_best_test_accuracy": max(tested),
        "paper_best_epoch": 1 + int(np.argmax(tested)),
        "paper_last_test_accuracy": tested[-1],
        "val_fraction": 0.4,
        "val_epochs": EPOCHS,
        "val_last_accuracy": validated[-1],
        "val_best_accuracy": max(validated),
        "val_best_epoch": 1 + int(np.argmax(validated)),
        "val_test_accuracy": final["prob_acc"],
    }
    assert {name: float(good[name]) for name in expected} == pytest.approx(expected)
    assert record(paper)["dataset"]["train_samples"] == 50
    assert record(held_out)["dataset"]["train_samples"] == 30


@needs_ray
def test_the_summary_is_printed_written_and_drawn(folder, extended):
    _, out, _ = extended
    good, _ = table(folder / "out/summary.csv")
    (row,) = [row for row in table(folder / "out/trials.csv") if row["dataset"] == "Digits-sub5"]
    assert good["paper_best_test_mean"] == row["paper_best_test_accuracy"]
    assert good["val_test_mean"] == row["val_test_accuracy"]
    (line,) = [line for line in out.splitlines() if line.startswith("Digits-sub5  cosine+xent")]
    percent = [f"{100 * float(row[name]):.1f}" for name in FIGURES]
    assert line.split()[2:] == ["1", "0.1", percent[0], "1/1", "0.1", *percent[1:], "1/1"]
    assert (folder / "out/Digits-sub5.png").read_bytes().startswith(b"\x89PNG")
    facts = json.loads((folder / "out/trials.csv.run.json").read_text())
    assert facts["options"]["val_fraction"] == 0.4 and "ray" in facts["versions"]
    assert "--epochs" in facts["options"]["command_line"]


@needs_ray
def test_finished_trials_are_not_run_again(folder, extended, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)  # and Ray is not even started
    before = {path: path.stat().st_mtime_ns for path in folder.glob("out/trials/*/*")}
    again = run(sweep, f"--out {folder}/out {GRID} {PASSED_ON}")
    assert again.status == 0, again.err
    assert again.err == "2 trials, 2 of them finished before\n"
    assert {path: path.stat().st_mtime_ns for path in folder.glob("out/trials/*/*")} == before
    assert len(table(folder / "out/trials.csv")) == 2  # nothing of the other grid is lost


@needs_ray
def test_changed_options_are_refused(folder, extended):
    before = {path: path.stat().st_mtime_ns for path in folder.glob("out/**/*")}
    for old, new, named in (
        (f"--epochs {EPOCHS}", "--epochs 3", f"--epochs {EPOCHS} instead of 3"),
        ("--top_k_acc 3", "--clipgrad 1", "--clipgrad 10.0 instead of 1.0"),
        ("--val_fraction 0.4", "--val_fraction 0.2", "--val_fraction 0.4 instead of 0.2"),
    ):
        for more in ("", " --dry_run"):
            command = f"--out {folder}/out{more} {GRID} {PASSED_ON}"
            refused = run(sweep, command.replace(old, new))
            assert refused.status == 2 and refused.out == ""
            assert named in refused.err.splitlines()[-1]
    assert {path: path.stat().st_mtime_ns for path in folder.glob("out/**/*")} == before


@needs_ray
def test_dry_run_shows_missing_runs(folder, extended):
    grid = GRID.replace("--learning_rates 0.1", "--learning_rates 0.1 0.5")
    shown = run(sweep, f"--dry_run --out {folder}/out {grid} {PASSED_ON}")
    first, second = shown.out.splitlines()
    assert shown.status == 0 and "--sgdr_max_lr 0.5 --seed 0 --architecture tiny" in first
    assert "--val_fraction 0.4" in second and "lr0.5_seed0_val/history.csv" in second
    assert not list(folder.glob("out/trials/*lr0.5*"))


@needs_ray
def test_other_images_and_another_backend_are_refused(folder, extended, monkeypatch):
    grid = GRID.replace("digits-SUB5", "Digits-sub5 Folder")
    refused = run(sweep, f"--out {folder}/out --data_root {folder} {grid} {PASSED_ON}")
    assert refused.status == 2
    assert f"--data_root Folder {folder}/broken instead of {folder};" in refused.err
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    refused = run(sweep, f"--out {folder}/out {GRID} {PASSED_ON}")
    assert refused.status == 2 and "KERAS_BACKEND tensorflow instead of jax" in refused.err


@needs_ray
def test_networks_that_were_not_kept_are_missed(folder, extended, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    again = run(sweep, f"--save_models --out {folder}/out {GRID} {PASSED_ON}")
    assert again.status == 0 and "--save_models: 2 trials were finished without it" in again.err


@pytest.mark.parametrize("option", ["--out", "--data_root"])
def test_names_that_no_folder_can_have(tmp_path, monkeypatch, option):
    monkeypatch.chdir(tmp_path)
    grid = f"--out out --datasets Digits --losses xent {option} {'x' * 300}"
    outcome = run(sweep, f"{grid} --dry_run")
    assert outcome.status == (0 if option == "--out" else 2) and "Traceback" not in outcome.err
    outcome = run(sweep, grid)
    assert outcome.status == 2 and len(outcome.err.splitlines()) == 1


def test_the_commands_shown_are_those_that_would_be_run(tmp_path):
    shown = run(sweep, f"--dry_run --gpus_per_trial 2 --out {tmp_path}/out {GRID} {PASSED_ON}")
    assert shown.status == 0
    for line in shown.out.splitlines():
        assert " --gpus 2 " in line


def test_missing_ray_is_reported_with_the_installation(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    outcome = run(sweep, f"--out {tmp_path}/out {GRID} {PASSED_ON}")
    assert outcome.status == 2
    assert "pip install -r requirements-sweep.txt" in outcome.err.splitlines()[-1]


REFUSED = [
    ("--datasets nothing", "nothing"),
    ("--losses hinge", "hinge"),
    ("--learning_rates high", "high"),
    ("--seeds -1", "-1"),
    ("--val_fraction 1", "argument --val_fraction: '1'"),
    ("--val_fraction 0", "argument --val_fraction: '0'"),
    ("--protocols validation", "--val_fraction"),
    ("--protocols paper --val_fraction 0.1", "--val_fraction"),
    ("--losses semantic", "--embeddings Digits=NAME"),
    ("--embeddings Digits", "NAME=EMBEDDING"),
    ("--embeddings nothing=cub_deep", "nothing"),
    ("--data_root nowhere", "nowhere"),
    ("--datasets Folder", "--data_root: give the folder of Folder"),
    ("--data_root nothing=.", "nothing"),
    ("--data_root Digits=a Digits=b", "--data_root: Digits cannot have both a and b"),
    ("--data_root Digits=a --data_root Digits=b", "--data_root: Digits cannot have both a and b"),
    ("--learning_rates 0.1 --learning_rates 1", "--learning_rates: given 2 times"),
    ("--data_root a b", "--data_root: all data sets cannot have both a and b"),
    ("--embeddings Digits=a digits=b", "--embeddings: Digits cannot have both a and b"),
    ("--gpus_per_trial 1.5", "1.5"),
    ("--cpus_per_trial 0", "'0'"),
    ("-- --seed 1", "--seed after --"),
    ("-- --snapshot=x.h5", "--snapshot=x.h5 after --"),
    ("-- --lr_schedule SGD", "--lr_schedule SGD"),
    ("-- --epochs many", "learn_image_embeddings.py: error"),
    ("-- --architecture resnet-33", "resnet-33"),
    ("-- --label 1", "--label"),
]


@pytest.mark.parametrize(("options", "named"), REFUSED)
def test_unsuitable_options_are_refused_before_writing(tmp_path, options, named):
    grid = {"--datasets": "Digits", "--losses": "cosine"}
    base = " ".join(f"{k} {v}" for k, v in grid.items() if not options.startswith(k))
    outcome = run(sweep, f"--out {tmp_path}/out {base} {options}")
    assert outcome.status == 2 and outcome.out == ""
    (line,) = outcome.err.splitlines()
    assert line.startswith("sweep.py: ") and named in line
    assert not (tmp_path / "out").exists()
