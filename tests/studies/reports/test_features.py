"""The picture of two features, from hand-made results."""

from dataclasses import replace

import numpy as np

from evaluation.embeddings.plane import by_class, from_rows
from studies.reports.evaluations import evaluation_tables
from studies.reports.figures import features
from studies.results import _short, read_runs, write_runs
from studies.study import TITLES, Part
from tests.studies.test_results import ended

PART = Part(
    "two features",
    ("Digits",),
    ("dsc", "dsc_hinge"),
    (0.1,),
    "--epochs 3",
    splits=("first:2",),
    evaluation="features --part train",
)
ROWS = (
    {"class": "a", "known": 1, "mean": [0.5, 1.0], "target": [3.0, 4.0]}
    | {"points": [[0.0, 1.0], [1.0, 1.0]]},
    {"class": "b", "known": 0, "mean": [-1.0, 0.0], "target": [], "points": [[-1.0, 0.0]]},
)


def trained(loss):
    run = replace(ended("Digits", loss, 0.1, 0, best=0.5, test=0.5), evaluation=ROWS)
    return replace(run, name=f"{run.name}_first-2", judged_curve=(0.4, None, 0.5))


def test_points_come_back_from_rows():
    plane, labels, known = from_rows(ROWS)
    np.testing.assert_array_equal(plane.samples, [[0, 1], [1, 1], [-1, 0]])
    np.testing.assert_array_equal(plane.targets, [[3, 4], [np.nan] * 2])
    assert labels.tolist() == [0, 0, 1] and known.tolist() == [True, False]
    assert tuple(by_class(plane, labels, known, ("a", "b"))) == ROWS


def test_a_panel_for_each_loss_from_stored_results(tmp_path):
    write_runs(tmp_path, [trained("dsc"), trained("dsc_hinge")])
    runs = {run.name: run for run in read_runs(tmp_path)}
    figure = features(PART, runs)
    assert [panel.get_title() for panel in figure.axes] == [TITLES["dsc"], TITLES["dsc_hinge"]]
    for panel in figure.axes:
        np.testing.assert_array_equal(panel.collections[0].get_offsets(), [[0, 1], [1, 1]])
    assert evaluation_tables(PART, runs) == []
    assert features(PART, {}) is None


def test_points_are_stored_with_five_digits():
    row = {"model": "net", "points": [[1 / 3, 2.0]], "class": "a"}
    assert _short(row) == {"points": [[0.33333, 2.0]], "class": "a"}
