"""The table of all losses in the README follows from the accuracies."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import t

from studies.choice import Outcome, chosen_rate, outcome
from studies.reports import overview as module
from studies.reports.comparison import holm, interval
from studies.reports.overview import WORSE, marked, overview
from studies.results import Run, runs_of
from studies.study import Part, Search, Study
from sweeping.grid import PAPER, PROTOCOLS, VALIDATION


def outcomes(**values):
    return {loss: Outcome(0.1, tuple(accuracies)) for loss, accuracies in values.items()}


def welch_by_hand(a, b):
    a, b = np.array(a), np.array(b)
    va, vb = a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)
    freedom = (va + vb) ** 2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1))
    return 2 * t.sf(abs(a.mean() - b.mean()) / np.sqrt(va + vb), freedom)


XENT = (0.50, 0.51, 0.52)


@pytest.mark.parametrize("shift", [0.005, 0.015, 0.02, 0.03, 0.1, -0.02, -0.03])
def test_significant_differences_are_marked(shift):
    other = tuple(value + shift for value in XENT)
    found = marked(outcomes(xent=XENT, cosine=other), "cosine")
    plain = f"{100 * np.mean(other):.1f} ± 1.0"
    if welch_by_hand(XENT, other) >= 0.05:
        assert found == plain
    else:
        assert found == (f"**{plain}**" if shift > 0 else f"{plain} {WORSE}")


def test_the_shifts_of_the_test_before_are_on_both_sides():
    p = [welch_by_hand(XENT, [v + shift for v in XENT]) for shift in (0.02, 0.03)]
    assert p[0] > 0.05 > p[1]


def test_cross_entropy_is_never_marked_nor_are_single_runs_and_absent_losses():
    found = outcomes(xent=XENT, cosine=(0.9,))
    assert marked(found, "xent") == "51.0 ± 1.0" and marked(found, "cosine") == "90.0"
    assert marked(found, "cosine+xent") == marked({}, "xent") == "–"


def test_intervals_are_those_of_welch():
    a, b = np.array(XENT), np.array((0.52, 0.56, 0.57, 0.51))
    va, vb = a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)
    freedom = (va + vb) ** 2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1))
    half = t.ppf(0.975, freedom) * np.sqrt(va + vb)
    np.testing.assert_allclose(interval(a, b), b.mean() - a.mean() + np.array([-half, half]))
    assert interval((0.5,), (0.6, 0.7)) is None


def test_holms_correction():
    # Example: 4 * 0.005, 3 * 0.01, then 2 * 0.03, which 1 * 0.04 may not fall below.
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0] and holm([]) == []


PART = Part(
    "by size",
    ("Digits-sub10", "Digits-sub5", "Digits"),
    ("xent", "cosine"),
    (0.1,),
    "--epochs 1",
    seeds=(0, 1, 2),
    full_size=99,
)


def test_the_papers_protocol_takes_the_better_of_its_rates():
    def ended(rate, values):
        trials = part.repeated(("Digits", "xent"), rate)
        return [
            Run("", t.name, "finished", 1, "x --epochs 1", None, {}, 0, 1, best=value, test=0.5)
            for t, value in zip(trials, values, strict=True)
        ]

    part = replace(PART, protocols=PROTOCOLS, paper_rates={"xent": (0.1, 0.02)})
    assert part.fixed_rates("xent") == (0.1, 0.02) and part.fixed_rates("cosine") == (0.1,)
    assert {trial.point.learning_rate for trial in part.first_trials()} == {0.1, 0.02}
    cell = ("Digits", "xent")
    assert chosen_rate(part, cell, PAPER, {}) == 0.1
    runs = runs_of([*ended(0.1, (0.9, 0.5, 0.5)), *ended(0.02, (0.6, 0.7, 0.8))], part)
    found = outcome(part, cell, PAPER, runs)
    assert (found.rate, found.values) == (0.02, (0.6, 0.7, 0.8))  # by the mean
    assert outcome(part, cell, VALIDATION, runs).rate == 0.1  # not by test accuracy
    some = runs_of([*ended(0.1, (0.4, 0.5, 0.5)), *ended(0.02, (0.9, 0.9, 0.9))[:2]], part)
    assert chosen_rate(part, cell, PAPER, some) == 0.1  # the other has not all seeds yet
    searched = replace(part, rates=(0.1, 0.3), search=Search((VALIDATION,)))
    assert searched.fixed_rates("xent") == (0.1, 0.02) and searched.fixed_rates("cosine") == ()
    assert outcome(searched, cell, PAPER, runs).rate == 0.02


def test_superseded_runs_do_not_count():
    other = replace(PART, options="--epochs 2", superseded=("Digits",))
    found = Study("x", "x", reduced=(PART, other))
    assert found.parts_on("Digits") == [PART] and found.parts_on("CUB") == []
    assert found.parts_on("Digits-sub5") == [PART, other]


def cells_of(rows):
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def test_both_protocols_share_a_row(monkeypatch):
    part = replace(PART, datasets=("Digits",), protocols=PROTOCOLS)
    runs = [
        Run("", trial.name, "finished", 1, "python x --epochs 1", None, {}, 0, 1, **values)
        for loss in ("xent", "cosine")
        for trial, best in zip(part.repeated(("Digits", loss), 0.1), (0.4, 0.5, 0.6), strict=True)
        for values in [{"best": best, "last": best - 0.1, "test": best - 0.1}]
    ]
    monkeypatch.setattr(module, "NAMES", ("digits",))
    monkeypatch.setattr(module, "load", lambda name: Study(name, name, "", reduced=(part,)))
    monkeypatch.setattr(module, "read_runs", lambda folder: runs)
    [row] = cells_of(overview()[2:-2])
    best, last = ["50.0 ± 10.0"] * 2, ["40.0 ± 10.0"] * 2
    assert row == ["Digits", "99", "3", *best, "–", *last, "–"]


def test_a_part_reports_the_protocols_that_choose_and_the_papers():
    assert PART.shown == (PAPER,)
    assert replace(PART, search=Search((VALIDATION,))).shown == (PAPER, VALIDATION)
    assert replace(PART, search=Search(PROTOCOLS)).shown == PROTOCOLS
    assert replace(PART, protocols=(VALIDATION,)).shown == (VALIDATION,)


def test_the_only_rate_of_a_part_counts_for_the_protocol_that_it_reports():
    trial = PART.repeated(("Digits", "xent"), 0.1)[0]
    accuracies = {"best": 0.7, "last": 0.6, "test": 0.6}
    run = Run("", trial.name, "finished", 1, "x --epochs 1", None, {}, 0, 1, **accuracies)
    best, last = (0.7,), (0.6,)
    for reports, values in (
        ((), (best, ())),
        ((VALIDATION,), ((), last)),
        (PROTOCOLS, (best, last)),
    ):
        part = replace(PART, protocols=reports)
        for protocol, expected in zip((PAPER, VALIDATION), values, strict=True):
            found = outcome(part, ("Digits", "xent"), protocol, {run.name: run})
            assert found.values == expected


def test_the_table_has_a_row_per_size_on_which_losses_were_compared(monkeypatch):
    def count(dataset, loss):
        return 1 if (dataset, loss) == ("Digits-sub5", "xent") else 2 if loss == "cosine" else 3

    runs = [
        Run("", trial.name, "finished", 1, "python x --epochs 1", None, {}, 0, 1, best=best)
        for dataset, loss, best in [
            ("Digits-sub10", "xent", 0.4),
            ("Digits-sub10", "cosine", 0.5),
            ("Digits-sub5", "cosine", 0.3),  # alone: of the other there is a single run
            ("Digits-sub5", "xent", 0.2),
            ("Digits", "xent", 0.7),
            ("Digits", "cosine", 0.6),
        ]
        for trial in PART.repeated((dataset, loss), 0.1)[: count(dataset, loss)]
    ]
    monkeypatch.setattr(module, "NAMES", ("digits", "table-2"))
    monkeypatch.setattr(module, "load", lambda name: Study(name, name, "", reduced=(PART,)))
    monkeypatch.setattr(module, "read_runs", lambda folder: runs)

    *table, _, correction = overview()
    rows = cells_of(table[2:])
    assert [row[:3] for row in rows] == [["Digits", "10", "2–3"], ["Digits", "99", "2–3"]]
    # Without any spread, there is no test; only one protocol is reported.
    assert rows[0][3:] == ["40.0 ± 0.0", "50.0 ± 0.0", "–", "–", "–", "–"]
    assert "0 of 0 marks under best epoch (0 tests) and 0 of 0 marks" in correction


def test_fewer_marks_remain_after_the_correction(monkeypatch):
    """Welch's p of 0.021 is significant alone, and with Holm's correction only in a single test."""
    assert welch_by_hand(XENT, [value + 0.03 for value in XENT]) == pytest.approx(0.021, abs=5e-4)

    def corrected(datasets, shifts):
        part = replace(PART, datasets=datasets)
        runs = [
            Run("", trial.name, "finished", 1, "python x --epochs 1", None, {}, 0, 1, best=value)
            for dataset, shift in zip(datasets, shifts, strict=True)
            for loss, added in (("xent", 0), ("cosine", shift))
            for trial, value in zip(
                part.repeated((dataset, loss), 0.1), [v + added for v in XENT], strict=True
            )
        ]
        monkeypatch.setattr(module, "NAMES", ("digits",))
        monkeypatch.setattr(module, "load", lambda name: Study(name, name, "", reduced=(part,)))
        monkeypatch.setattr(module, "read_runs", lambda folder: runs)
        return overview()[-1]

    three = ("Digits-sub10", "Digits-sub5", "Digits")
    for datasets, shifts, marks in (
        (("Digits",), (0.03,), "1 of 1"),
        (three, (0.03, 0.005, 0.005), "0 of 1"),
        (three, (0.03, 0.03, 0.005), "0 of 2"),
        (three, (0.03, 0.3, 0.3), "3 of 3"),
    ):
        expected = f"{marks} marks under best epoch ({len(shifts)} tests)"
        assert expected in corrected(datasets, shifts)
