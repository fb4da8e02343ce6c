"""The files of a search."""

import csv
import json

import pytest

from sweeping.search.space import Candidate
from sweeping.search.trials import (
    FAILED,
    FINISHED,
    HEADER,
    STOPPED,
    UNFINISHED,
    Plan,
    SearchTrial,
    read_trials,
    remove_snapshots,
    write_table,
    write_trial,
)
from sweeping.search.winner import earlier_record, minutes, used_before, winner
from utils import UserError


def plan_of(folder, folds=1):
    parts = tuple(folder / "data" / f"fold-{i + 1}" for i in range(folds))
    return Plan(folder, parts, (), 3, 30, (32,), 0)


def candidate(rate):
    return Candidate("xent", rate, 1e-4, 32, "plain", 0.0)


def written(plan, rate, status, *histories, started=0.0, epochs=None):
    """A trial whose folds have these accuracies."""
    trial = SearchTrial(
        candidate(rate), status, started, 2.5, (0.0,) * (epochs or len(histories[0]))
    )
    for run, accuracies in zip(plan.runs(trial.candidate), histories, strict=True):
        run.mkdir(parents=True)
        lines = [f"{i + 1},{value}" for i, value in enumerate(accuracies)]
        (run / "history.csv").write_text("\n".join(["epoch,val_acc", *lines, ""]))
        (run / "snapshot.h5").write_text("state")
    write_trial(plan, trial)
    return trial.candidate


def test_accuracies_are_means_over_the_folds_and_trials_in_the_order_of_their_start(tmp_path):
    plan = plan_of(tmp_path, folds=2)
    late = written(plan, 0.2, FINISHED, [0.1, 0.4, 0.6], [0.3, 0.2, 0.8], started=5.0)
    early = written(plan, 0.1, UNFINISHED, [0.5, 0.6], [0.7], started=4.0)
    first, second = read_trials(plan)
    assert (first.candidate, second.candidate) == (early, late)
    assert first.accuracies == pytest.approx((0.6,))
    assert second.accuracies == pytest.approx((0.2, 0.3, 0.7))
    assert winner([first, second]) == second


def test_epochs_after_the_decision_to_stop_do_not_count(tmp_path):
    plan = plan_of(tmp_path)
    written(plan, 0.1, STOPPED, [0.1, 0.9], epochs=1)
    (trial,) = read_trials(plan)
    assert trial.accuracies == (0.1,)


def test_only_finished_trials_can_win(tmp_path):
    plan = plan_of(tmp_path)
    written(plan, 0.2, FAILED, [0.95], started=1.0)
    with pytest.raises(UserError, match=r"1 begun, 1 of them failed, .*; see their logs$"):
        winner(read_trials(plan))
    written(plan, 0.1, STOPPED, [0.9])
    message = (
        "the search ended without a finished trial: 2 begun, 1 of them failed, at most 1 epochs "
        "finished; give more --minutes, fewer --epochs or smaller --sizes"
    )
    with pytest.raises(UserError) as caught:
        winner(read_trials(plan))
    assert str(caught.value) == message
    written(plan, 0.3, FINISHED, [0.1, 0.2, 0.3], started=2.0)
    assert winner(read_trials(plan)).candidate == candidate(0.3)


def test_diverged_accuracies_count_as_zero(tmp_path):
    plan = plan_of(tmp_path)
    written(plan, 0.1, UNFINISHED, [0.4, "nan"])
    assert read_trials(plan)[0].accuracies == (0.4, 0.0)


OTHER = {
    "candidate": candidate(0.1).config | {"augmentation": "of an earlier version"},
    **{"started": 1.0, "seconds": 1.0, "status": "finished", "epochs": 1},
}


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"candidate": {"size": 1}}', "\0", "nul", json.dumps(OTHER)]
)
def test_damaged_folders_are_no_trials(tmp_path, content):
    plan = plan_of(tmp_path)
    good = written(plan, 0.1, FINISHED, [0.4])
    bad = tmp_path / "trials" / "bad"
    bad.mkdir()
    (bad / "trial.json").write_text(content)
    assert [trial.candidate for trial in read_trials(plan)] == [good]


def test_the_table_and_the_snapshots(tmp_path):
    plan = plan_of(tmp_path)
    found = written(plan, 0.1, FINISHED, [0.25, 0.5])
    write_table(tmp_path / "trials.csv", read_trials(plan))
    with open(tmp_path / "trials.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert tuple(row) == HEADER
    assert (row["objective"], row["status"], row["epochs"]) == ("xent", "finished", "2")
    assert [float(row[name]) for name in ("learning_rate", "accuracy", "seconds")] == [
        *(0.1, 0.5, 2.5)
    ]
    running = written(plan, 0.2, UNFINISHED, [0.5], started=1.0)
    remove_snapshots(plan)
    assert list(tmp_path.rglob("snapshot*")) == [plan.runs(running)[0] / "snapshot.h5"]
    assert len(list(tmp_path.rglob("history.csv"))) == 2
    facts = json.loads((plan.folder(found) / "trial.json").read_text())
    assert facts["epochs"] == 2 and "accuracies" not in facts


def test_minutes_grow_with_the_images_and_are_of_one_fold(tmp_path):
    plan = plan_of(tmp_path, folds=2)
    for folder, images in ((plan.parts[0], 3), (plan.all_images, 6)):
        for i in range(images):
            (folder / f"train/class-{i % 2}").mkdir(parents=True, exist_ok=True)
            (folder / f"train/class-{i % 2}/{i}.png").touch()
    best = SearchTrial(candidate(0.1), FINISHED, 0.0, 240.0, (0.5,))
    assert minutes(plan, best) == pytest.approx(240 / 60 / 2 * 6 / 3)


def test_earlier_tested_winners_are_reported(tmp_path):
    plan = plan_of(tmp_path)
    assert not used_before(plan, "one")
    for command in ("one", "two"):
        earlier_record(plan, command).touch()
    (told,) = used_before(plan, "one")
    assert "other winners of this search (1)" in told
    (told,) = used_before(plan, "three")
    assert "(2)" in told
