"""The folder of a sweep: finished trials, and errors."""

import json
import os

import pytest

from sweeping.cluster import Cluster, Resources, _check_address, _start
from sweeping.grid import Point, Trial
from sweeping.results.report import Report, describe
from sweeping.results.table import select, trial_row
from sweeping.store import LOG, Store, last_line
from utils import UsageError, UserError

TRIAL = Trial(Point("CUB", "cosine", 0.5, 0), "paper")

JUDGED = {"epochs_judged_by": "val_acc", "best_epoch": {"epoch": 1, "val_acc": 0.5}}
"""Early stopping has brought back the weights of the first epoch."""

SNAPSHOT = ("snapshot.h5", "snapshot.h5.run.json")


@pytest.fixture
def store(tmp_path):
    found = Store(tmp_path / "out")
    with found.opened():
        found.agree({"--epochs": "2"})
    return found


def write_run(store, epochs=2, last=2, final=True, attempts=("0",), **facts):
    folder = store.prepare(TRIAL, ["learn.py"], ("--epochs", "2"))
    rows = "".join(f"{i + 1},0.5\n" for i in range(epochs))
    (folder / "history.csv").write_text(f"epoch,val_acc\n{rows}")
    record = (
        {"last_epoch": {"epoch": last}}
        | ({"final": {} if final is True else final} if final else {})
        | facts
    )
    (folder / "history.csv.run.json").write_text(json.dumps(record))
    lines = "".join(f"1700000000,{2.5 * (i + 1)},{s},host\n" for i, s in enumerate(attempts))
    (folder / "attempts.csv").write_text(f"started,seconds,status,host\n{lines}")
    return folder


@pytest.mark.parametrize(
    ("written", "status"),
    [
        ({}, "finished"),
        ({"attempts": ("stopped", "1", "0")}, "finished"),
        ({"final": False}, "failed"),
        ({"epochs": 1}, "failed"),
        ({"epochs": 0}, "failed"),
        ({"attempts": ("0", "1")}, "failed"),
        ({"attempts": ("-9",)}, "failed"),
        ({"attempts": ("1",), "diverged": True}, "diverged"),
        ({"attempts": ("1",), "diverged": False}, "failed"),
        ({"attempts": ("1",), "diverged": True, "final": False}, "failed"),
        ({"last_epoch": {"epoch": 2, "val_acc": float("nan")}, **JUDGED}, "diverged"),
        ({"last_epoch": None}, "failed"),
        ({"attempts": ("stopped",)}, "unfinished"),
        ({"attempts": ()}, "unfinished"),
    ],
)
def test_requirements_of_finished_trials(store, written, status):
    write_run(store, **written)
    result = store.result(TRIAL)
    assert result.status == status
    assert result.seconds == sum(2.5 * (i + 1) for i in range(len(written.get("attempts", "0"))))
    assert bool(result.record) == result.final == (status in ("finished", "diverged"))
    assert result.options == "--epochs 2"


@pytest.mark.parametrize("file", ["history.csv", "history.csv.run.json", "attempts.csv"])
@pytest.mark.parametrize("content", [b"", b"\xff\x00{", b"[1]", None])
def test_damaged_files_are_of_no_finished_trial(store, file, content):
    folder = write_run(store)
    (folder / file).unlink() if content is None else (folder / file).write_bytes(content)
    assert store.result(TRIAL).status != "finished"


@pytest.mark.parametrize(
    "file", ["attempts.csv", "history.csv", "history.csv.run.json", "trial.json", "log.txt"]
)
@pytest.mark.parametrize("what", ["pipe", "folder", "deep"])
def test_special_files_neither_hang_nor_crash(store, file, what):
    path = write_run(store) / file
    path.unlink(missing_ok=True)
    if what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    else:
        path.write_text("[" * 100_000 + "]" * 100_000)
    Report(store, [TRIAL]).write_trials()
    last_line(store.folder(TRIAL) / LOG)
    assert (store.result(TRIAL).status == "finished") == (file in ("trial.json", "log.txt"))


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text + "\0" * 512,
        lambda text: text + "1700000000,x,1,host\n",
    ],
)
def test_a_damaged_line_loses_no_attempt(store, damage):
    path = write_run(store) / "attempts.csv"
    path.write_text(damage(path.read_text()))
    result = store.result(TRIAL)
    assert (result.status, result.seconds) == ("finished", 2.5)


@pytest.mark.parametrize(
    ("name", "value"),
    [("dataset", 3), ("loss", None), ("learning_rate", "0.5"), ("seed", 0.5), ("seed", [0]),
     ("protocol", "other"), ("protocol", {}), ("dataset", "NAB"), ("seed", True)],
)  # fmt: skip
def test_facts_that_are_not_those_of_the_folder_are_no_trial(store, name, value):
    path = store.prepare(TRIAL, ["learn.py"], ()) / "trial.json"
    assert store.trials() == [TRIAL]
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))
    assert store.trials() == []


@pytest.mark.parametrize(
    "content", ['["--epochs", "2"]', '{"--epochs": 2}', "[" * 100_000, "[[1, 2]]"]
)
def test_damaged_settings_are_reported(store, content):
    (store.path / "sweep.json").write_text(content)
    with pytest.raises(UserError, match=r"sweep\.json: it is damaged"):
        store.agree({"--epochs": "2"})


def test_a_trial_that_diverged_is_done_and_never_chosen(store):
    facts = {"best_epoch": {"epoch": 1, "val_acc": 0.9}, "last_epoch": {"epoch": 2}}
    write_run(store, attempts=("1",), diverged=True, epochs_judged_by="val_acc", **facts)
    report = Report(store, [TRIAL])
    assert report.finished(TRIAL)
    assert "diverged, has no accuracy" in describe(TRIAL, store.result(TRIAL))
    row = trial_row(TRIAL.point, {"paper": store.result(TRIAL)})
    assert row["paper_status"] == "diverged" and row["paper_best_test_accuracy"] is None
    other = {**row, "learning_rate": 0.1, "paper_best_test_accuracy": 0.2}
    chosen = select([row, other], "paper_best_test_accuracy", "paper_best_test_accuracy")
    assert (chosen.learning_rate, chosen.complete) == (0.1, "1/2")


def test_a_trial_without_a_folder_is_unfinished(store):
    assert store.result(TRIAL).status == "unfinished"
    assert store.trials() == []


def test_trials_of_earlier_grids_are_found(store):
    trials = [
        Trial(Point("CUB-sub5", "cosine+xent", 0.010000001, 3), protocol)
        for protocol in ("paper", "validation")
    ]
    for trial in trials:
        store.prepare(trial, ["learn.py"], ())
    (store.path / "trials" / "foreign").mkdir()
    assert store.trials() == trials


def test_only_the_snapshot_goes_when_a_trial_is_finished(store):
    folder = write_run(store)
    for name in (*SNAPSHOT, "model.keras", "my-snapshot.h5.bak"):
        (folder / name).write_text("")
    before = {path.name for path in folder.iterdir()}
    store.tidy(TRIAL)
    store.tidy(TRIAL)
    after = {path.name for path in folder.iterdir()}
    assert before - after == set(SNAPSHOT)


def test_other_settings_are_refused_and_further_ones_added(store):
    store.agree({"--val_fraction": "0.1"})
    before = (store.path / "sweep.json").read_bytes()
    with pytest.raises(UsageError, match="run with --epochs 2 instead of 3"):
        store.agree({"--epochs": "3", "--other": "x"})
    assert (store.path / "sweep.json").read_bytes() == before
    store.agree({"--epochs": "2", "--other": "x"})
    with pytest.raises(UsageError, match=r"--val_fraction 0\.1 instead of 0\.2"):
        store.agree({"--val_fraction": "0.2"})
    (store.path / "sweep.json").write_text("{")
    with pytest.raises(UserError, match="is damaged"):
        store.agree({})


def test_one_sweep_at_a_time(store):
    with (
        store.opened(),
        pytest.raises(UsageError, match="another sweep is running"),
        Store(store.path).opened(),
    ):
        pass
    with store.opened():
        pass


def test_folders_with_other_things_are_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for path, message in (
        (tmp_path, "do not belong to a sweep"),
        (tmp_path / "notes.txt", "is a file"),
        (tmp_path / "missing" / "out", "no folder"),
    ):
        with pytest.raises(UsageError, match=message), Store(path).opened():
            pass
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


class Ray:
    """Ray with made-up machines."""

    def __init__(self, *machines):
        self._machines = machines

    def nodes(self):
        return [
            {"Alive": alive, "Resources": {"CPU": cpus, "GPU": gpus} if gpus else {"CPU": cpus}}
            for cpus, gpus, alive in self._machines
        ]


@pytest.mark.parametrize(
    ("cpus", "gpus", "at_once", "decided"),
    [(1, None, 4, 1), (5, None, 3, 1), (2, 0, 12, 0), (1, 0.5, 8, 0.5), (8, 2, 2, 2)],
)
def test_number_of_concurrent_trials(cpus, gpus, at_once, decided):
    ray = Ray((8.0, 2.0, True), (14.0, 2.0, True), (2.0, 0, True), (99.0, 9.0, False))
    cluster = Cluster(ray, Resources(cpus, gpus))
    assert (cluster.at_once, cluster.resources.gpus) == (at_once, decided)


def test_trials_that_fit_on_no_machine_are_refused():
    with pytest.raises(UsageError, match=r"--cpus_per_trial 9.* largest have 8 CPUs and 2 GPUs"):
        Cluster(Ray((8.0, 2.0, True), (99.0, 9.0, False)), Resources(9))
    assert Cluster(Ray((8.0, 0, True)), Resources(3)).resources.gpus == 0


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere", "127.0.0.1:99999", "127.0.0.1:"])
def test_unreachable_addresses_are_refused(address):
    with pytest.raises(UsageError, match=rf"^--address {address}: no Ray cluster answers"):
        _check_address(address)


def test_ray_failing_to_start_gives_a_one_line_error():
    class Slow:
        def init(self, *_, **__):
            raise Exception("The current node timed out during startup.\nMore lines")

    with pytest.raises(UserError, match=r"^Ray does not start: The current node timed out [^\n]*$"):
        _start(Slow(), None)


def test_processes_are_limited_to_their_resources():
    cpu = Resources(3, 0).environment()
    assert cpu["OMP_NUM_THREADS"] == cpu["TF_NUM_INTRAOP_THREADS"] == "3"
    assert cpu["CUDA_VISIBLE_DEVICES"] == "-1"
    whole = Resources(1, 1).environment()
    assert "CUDA_VISIBLE_DEVICES" not in whole  # Ray's own affair
    assert "TF_FORCE_GPU_ALLOW_GROWTH" not in whole
    for shared in (Resources(1, 0.5).environment(), Resources(1, 1).environment(processes=3)):
        assert shared["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"
        assert shared["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"
