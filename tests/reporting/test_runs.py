"""Reading finished runs."""

import json
import math

import pytest

from reporting.runs import read_run
from utils import UserError

RECORD = {
    "options": {"command_line": "python x.py"},
    "dataset": {"test_samples": 8},
    "final": {"acc": 0.5, "average_accuracy": 0.25},
}


def write(
    folder, name="history.csv", record=RECORD, text="epoch,acc,val_acc\n1,0.5,\n2,0.75,0.5\n"
):
    path = folder / name
    path.write_text(text)
    (folder / f"{name}.run.json").write_text(json.dumps(record))
    return path


def test_a_run_by_its_folder_or_its_history(tmp_path):
    path = write(tmp_path)
    run = read_run(tmp_path)
    assert run == read_run(path) or math.isnan(run.epochs[0]["val_acc"])
    assert (run.tested, run.metric, run.accuracy, run.average) == (8, "acc", 0.5, 0.25)
    assert (run.name, run.command, run.held_out) == (tmp_path.name, "python x.py", False)
    assert [epoch["acc"] for epoch in run.epochs] == [0.5, 0.75]
    assert math.isnan(run.epochs[0]["val_acc"]) and run.epochs[1]["val_acc"] == 0.5
    other = write(tmp_path, "other.csv", RECORD | {"epochs_judged_on": "validation"})
    assert read_run(other).name == "other" and read_run(other).held_out


DAMAGED = "history.csv: the history or its record is damaged"
NO_HISTORY = "history.csv: the history is damaged"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"record": {}}, "is not the history of a training: its record, history.csv.run.json, is"),
        ({"record": {"options": {}, "dataset": {}}}, "belongs to a run that is not finished"),
        ({"text": "epoch,acc\n1,high\n"}, NO_HISTORY),
        ({"text": "epoch,acc\n1,0.5,7\n"}, NO_HISTORY),
        ({"text": "step,acc\n1,0.5\n"}, NO_HISTORY),
        ({"record": RECORD | {"final": {"acc": 2}}}, DAMAGED),
        ({"record": RECORD | {"final": "high"}}, DAMAGED),
        ({"record": RECORD | {"dataset": {"test_samples": "many"}}}, DAMAGED),
        ({"record": RECORD | {"options": []}}, DAMAGED),
        ({"record": RECORD | {"versions": 7}}, DAMAGED),
    ],
)
def test_unfinished_runs_give_a_one_line_error(tmp_path, change, message):
    write(tmp_path, **change)
    with pytest.raises(UserError, match=message):
        read_run(tmp_path)


def test_a_missing_run_gives_a_one_line_error(tmp_path):
    with pytest.raises(UserError, match=r"gone\.csv does not exist"):
        read_run(tmp_path / "gone.csv")
    with pytest.raises(UserError, match=r"history\.csv does not exist"):
        read_run(tmp_path)
