"""Evaluations after the runs of a sweep: commands, missing ones, results."""

import csv
import json
import sys

import pytest

import evaluate_open_set
import evaluate_verification
import sweep
from sweeping.commands import Commands
from sweeping.engine import _missing_commands, shared_settings
from sweeping.grid import Point, Trial, grid
from sweeping.processes import run_job
from sweeping.results.report import Report
from sweeping.store import Store
from tests.commands.running import run
from utils import UsageError

POINT = Point("Digits-sub5", "cosine", 0.5, 0, 7, "first:6")
TRIAL = Trial(POINT, "paper")
ROWS = [
    {"model": "model", "score": "knn", "auroc": 0.75, "roc": {"0": 0.1}},
    {"model": "model", "score": "distance", "auroc": 0.5, "roc": {"0": 0.2}},
]


def commands(*evaluation, options=(), roots=None):
    roots = {"": "/all/{dataset}"} if roots is None else roots
    return Commands(tuple(options), roots, {}, evaluation=evaluation)


def values(parser, command):
    return vars(parser.parse_args(command[1:]))


def test_splits_are_an_axis_of_the_grid():
    points = grid(["MNIST"], ["xent", "cosine"], [0.1], [0, 1], ["arpl:0", "arpl+10:1"])
    assert [(p.seed, p.split, p.loss) for p in points[:3]] == [
        *((0, "arpl:0", loss) for loss in ("xent", "cosine")),
        (0, "arpl+10:1", "xent"),
    ]
    names = {Trial(point, "paper").name for point in points}
    assert len(names) == 8 and "MNIST_xent_lr0.1_seed1_arpl+10-1" in names
    assert Trial(points[0], "paper").title == "MNIST xent, rate 0.1, seed 0, arpl:0"


def test_the_evaluation_has_the_data_and_the_network_of_the_training(tmp_path):
    training = commands("open-set").of(TRIAL, tmp_path)
    assert training[training.index("--model_dump") + 1] == str(tmp_path / "model.keras")
    assert training[training.index("--split") + 1] == "first:6"
    found = values(
        evaluate_open_set.build_parser(), commands("open-set").evaluation_of(TRIAL, tmp_path)
    )
    wanted = {"dataset": "Digits-sub5", "subset_seed": 7, "split": ["first:6"], "overwrite": True}
    assert {name: found[name] for name in wanted} == wanted
    assert str(found["data_root"]) == "/all/Digits" and found["unknown_root"] is None
    assert found["model"] == [tmp_path / "model.keras"] and found["csv"].parent == tmp_path
    other = Trial(Point("CIFAR-10", "xent", 0.1, 0, split="arpl+50:3"), "paper")
    found = values(
        evaluate_open_set.build_parser(), commands("open-set").evaluation_of(other, tmp_path)
    )
    assert str(found["unknown_root"]) == "/all/CIFAR-100"
    found = values(
        evaluate_verification.build_parser(),
        commands("verification", "--mirror").evaluation_of(TRIAL, tmp_path),
    )
    assert found["mirror"] and str(found["data_root"]) == "/all/Digits"
    assert commands().evaluation_of(TRIAL, tmp_path) == []


@pytest.mark.parametrize(
    ("options", "rate"),
    [
        ((), "--sgdr_max_lr"),
        (("--lr_schedule", "Cosine"), "--cosine_max_lr"),
        (("--lr_schedule=SGDR", "--lr_schedule=Step"), "--step_lr"),
    ],
)
def test_the_rate_is_that_of_the_schedule(options, rate, tmp_path):
    command = commands(options=options).of(TRIAL, tmp_path)
    assert command[command.index(rate) + 1] == "0.5"
    settings = shared_settings([TRIAL], commands(options=options), "sweep.py")
    assert not {"--cosine_max_lr", "--step_lr", "--sgdr_max_lr", "--split"} & settings.keys()


def test_a_schedule_without_such_a_rate_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"^--lr_schedule CLR after --: .* SGDR, Cosine, Step$"):
        commands(options=("--lr_schedule", "CLR")).of(TRIAL, tmp_path)


@pytest.fixture
def store(tmp_path):
    """A folder with a trial that is trained, but not evaluated."""
    found = Store(tmp_path / "out")
    with found.opened():
        found.agree({})
    folder = found.prepare(TRIAL, ["learn.py"], ())
    (folder / "history.csv").write_text("epoch,val_acc\n1,0.5\n")
    record = {"last_epoch": {"epoch": 1}, "final": {}}
    (folder / "history.csv.run.json").write_text(json.dumps(record))
    (folder / "model.keras").write_text("")
    attempt(folder, 2)
    return found


def attempt(folder, status):
    (folder / "attempts.csv").write_text(f"started,seconds,status,host\n1,2,{status},here\n")


def evaluated(folder, results=ROWS):
    (folder / "evaluation.csv.run.json").write_text(json.dumps({"results": results}))


def test_a_failed_evaluation_is_tried_again_without_the_training(store):
    found = commands("open-set")
    assert store.result(TRIAL).status == "failed"
    (evaluation,) = _missing_commands(TRIAL, found, store)
    assert evaluation == found.evaluation_of(TRIAL, store.folder(TRIAL))
    (training,) = _missing_commands(TRIAL, commands(), store)
    assert training == commands().of(TRIAL, store.folder(TRIAL))
    (store.folder(TRIAL) / "model.keras").unlink()
    training, second = _missing_commands(TRIAL, found, store)
    assert training == found.of(TRIAL, store.folder(TRIAL)) and second == evaluation


@pytest.mark.parametrize("damage", [None, "{", '{"results": {}}', '{"results": [1]}', "[]"])
def test_a_trial_is_finished_when_it_is_evaluated(store, damage):
    folder = store.folder(TRIAL)
    attempt(folder, 0)
    evaluated(folder)
    if damage is None:
        (folder / "evaluation.csv.run.json").unlink()
    else:
        (folder / "evaluation.csv.run.json").write_text(damage)
    assert Report(store, [TRIAL]).finished(TRIAL)
    assert not Report(store, [TRIAL], evaluated=True).finished(TRIAL)
    evaluated(folder)
    assert Report(store, [TRIAL], evaluated=True).finished(TRIAL)
    assert store.trials() == [TRIAL]


def test_metrics_of_all_trials_are_in_one_table(store):
    folder = store.folder(TRIAL)
    attempt(folder, 0)
    evaluated(folder)
    Report(store, [TRIAL], evaluated=True).write_trials()
    with open(store.path / "evaluations.csv", newline="") as file:
        first, second = csv.DictReader(file)
    expected = {"dataset": "Digits-sub5", "split": "first:6", "score": "knn", "auroc": "0.75"}
    assert {name: first[name] for name in expected} == expected
    assert second["score"] == "distance" and not {"model", "roc"} & first.keys()


def test_processes_of_a_job_run_up_to_the_first_that_fails(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import sys; print('ran', *sys.argv[1:]); sys.exit(int(sys.argv[1]))")

    def execute(commands):
        return run_job(commands, tmp_path, {}, sys.executable, str(tmp_path))

    orders = [[str(script), "0", "a"], [str(script), "3", "b"], [str(script), "0", "c"]]
    assert execute(orders) == 3
    assert execute(orders[:1]) == 0
    log = (tmp_path / "log.txt").read_text()
    assert [line for line in log.splitlines() if line[:4] == "ran "] == [
        *("ran 0 a", "ran 3 b"),
        "ran 0 a",
    ]
    with open(tmp_path / "attempts.csv", newline="") as file:
        assert [row["status"] for row in csv.DictReader(file)] == ["3", "0"]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ("--datasets Digits --evaluate open-set", "--evaluate open-set: give --splits"),
        ("--datasets Faces --data_root . --evaluate verification", "--data_root .: has no pairs"),
        (
            "--datasets CIFAR-10 --data_root CIFAR-10=. --splits arpl+10:0 --evaluate open-set",
            "--data_root CIFAR-100=DIR: give the folder of the unknown classes",
        ),
        ("--datasets Digits --splits other:0", "unknown split 'other:0'"),
        ("--datasets Digits -- --split arpl:0", "--split after --"),
    ],
)
def test_unsuitable_evaluations_give_a_one_line_error(tmp_path, monkeypatch, options, named):
    monkeypatch.chdir(tmp_path)
    outcome = run(sweep, f"--out out --losses xent {options}")
    assert outcome.status == 2 and outcome.out == ""
    (line,) = outcome.err.splitlines()
    assert named in line
    assert list(tmp_path.iterdir()) == []
