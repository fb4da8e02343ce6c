"""Verdicts about the paper's claims, from hand-made results."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from studies import results
from studies.reports import claims
from studies.reports.claims import (
    CLAIMS,
    EQUAL,
    GROWING,
    Claim,
    Comparison,
    claims_table,
    verdict_on,
)
from studies.reports.comparison import welch_of_leads
from studies.results import Run, write_runs
from studies.study import load
from sweeping.grid import PAPER, VALIDATION
from tests.studies.test_results import LARGE, PART, SMALL, STUDY, ended

COMPARED = Comparison("digits", "xent", "cosine", PART.datasets)


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """A function that stores, by data set and loss, the accuracies of three seeds at one rate."""
    (tmp_path / "digits").mkdir()
    monkeypatch.setattr(claims, "STORED", tmp_path)
    monkeypatch.setattr(claims, "load", lambda name: STUDY)

    def store(values):
        runs = [
            ended(dataset, loss, 0.1, seed, best=value, test=value)
            for (dataset, loss), accuracies in values.items()
            for seed, value in enumerate(accuracies)
        ]
        write_runs(tmp_path / "digits", runs)

    return store


LOW, HIGH, WIDE = (0.30, 0.31, 0.32), (0.50, 0.52, 0.51), (0.2, 0.6, 0.4)

FEW = "inconclusive, too few runs; the"


@pytest.mark.parametrize(
    ("large", "small", "verdict"),
    [
        ((LOW, HIGH), (LOW, HIGH), "supported"),
        ((LOW, HIGH), (LOW, WIDE), "in part"),
        ((LOW, HIGH), (HIGH, LOW), "mixed"),
        ((LOW, WIDE), (HIGH, LOW), "contradicted"),
        ((LOW, WIDE), (WIDE, LOW), "inconclusive"),
        ((LOW, HIGH), (HIGH[:1], LOW[:1]), "supported so far, 1 of 2 sizes"),
        ((LOW[:1], HIGH[:1]), (LOW[:1], HIGH[:1]), f"{FEW} sign agrees with the claim"),
        ((LOW[:1], HIGH[:1]), (HIGH[:1], LOW[:1]), f"{FEW} signs differ"),
        ((HIGH[:1], LOW[:1]), (HIGH[:1], LOW[:1]), f"{FEW} sign disagrees with the claim"),
    ],
)
def test_verdicts(stored, large, small, verdict):
    pairs = zip((LARGE, LARGE, SMALL, SMALL), ("xent", "cosine") * 2, strict=True)
    stored(dict(zip(pairs, (*large, *small), strict=True)))
    assert verdict_on(COMPARED, PAPER).startswith(f"**{verdict}**: ")
    assert verdict_on(COMPARED, VALIDATION) == "not run"


def test_the_accuracies_that_a_verdict_rests_on(stored):
    stored({(LARGE, "xent"): LOW, (LARGE, "cosine"): HIGH[:2]})
    p = stats.ttest_ind(LOW, HIGH[:2], equal_var=False).pvalue
    measured = f"{LARGE} +20.0 points, +65 % (3 and 2 runs, p = {p:.2g})"
    assert verdict_on(COMPARED, PAPER) == f"**supported so far, 1 of 2 sizes**: {measured}"


def test_claims_of_no_difference(stored):
    claim = replace(COMPARED, kind=EQUAL)
    for values, verdict in ((HIGH, "contradicted"), (WIDE, "consistent"), (LOW, "consistent")):
        stored({(LARGE, "xent"): LOW, (LARGE, "cosine"): values})
        assert verdict_on(claim, PAPER).startswith(f"**{verdict} so far, 1 of 2 sizes**: ")
    stored({(LARGE, "xent"): LOW[:1], (LARGE, "cosine"): HIGH[:1]})
    assert verdict_on(claim, PAPER).startswith("**inconclusive, too few runs**: ")


@pytest.mark.parametrize(
    ("small", "large", "verdict"),
    [
        ((LOW, LOW), (LOW, HIGH), "supported"),
        ((LOW, HIGH), (LOW, LOW), "contradicted"),
        ((LOW, LOW), (LOW, WIDE), "inconclusive"),
        ((LOW[:1], LOW[:1]), (LOW, HIGH), f"{FEW} sign agrees with the claim so far, 1 of 2 sizes"),
    ],
)
def test_leads_that_grow(stored, small, large, verdict):
    claim = replace(COMPARED, datasets=(SMALL, LARGE), kind=GROWING)
    pairs = zip((SMALL, SMALL, LARGE, LARGE), ("xent", "cosine") * 2, strict=True)
    stored(dict(zip(pairs, (*small, *large), strict=True)))
    assert verdict_on(claim, PAPER).startswith(f"**{verdict}**: {SMALL} ")


def test_a_single_lead_does_not_grow(stored):
    stored({(LARGE, "xent"): LOW, (LARGE, "cosine"): HIGH})
    assert verdict_on(replace(COMPARED, kind=GROWING), PAPER) == "not run"


def test_the_change_of_a_lead_is_tested_as_a_difference_of_means_is():
    """Compare with Welch's test of the second lead if the first is known exactly."""
    exact = ((0.25, 0.25), (0.375, 0.375, 0.375))
    shifted = [value - 0.125 for value in WIDE]
    expected = stats.ttest_ind(LOW, shifted, equal_var=False).pvalue
    assert welch_of_leads(exact, (LOW, WIDE)) == pytest.approx(expected)
    assert welch_of_leads((LOW, WIDE), exact) == pytest.approx(expected)
    # Of four samples of equal size and spread, it is the t-test with all their degrees of freedom.
    equal = [np.add(LOW, shift) for shift in (0, 0.03, 0.1, 0.15)]
    statistic = 0.02 / np.sqrt(4 * np.var(LOW, ddof=1) / 3)
    assert welch_of_leads(equal[:2], equal[2:]) == pytest.approx(2 * stats.t.sf(statistic, 8))


def test_all_parts_with_both_losses_count(stored, monkeypatch):
    other = replace(PART, title=f"{PART.title}, CutMix", folder="c", options="--cutmix 1")
    monkeypatch.setattr(claims, "load", lambda name: replace(STUDY, reduced=(PART, other)))
    cells = [(LARGE, loss, seed) for loss in ("xent", "cosine") for seed in range(3)]
    values = {"xent": LOW, "cosine": HIGH}
    runs = [ended(d, loss, 0.1, seed, best=values[loss][seed]) for d, loss, seed in cells]
    values["cosine"] = WIDE
    changed = [ended(d, loss, 0.1, seed, best=values[loss][seed]) for d, loss, seed in cells]
    with_cutmix = [replace(r, folder="c", command="python learn.py --cutmix 1") for r in changed]
    write_runs(claims.STORED / "digits", [*runs, *with_cutmix])
    verdict = verdict_on(COMPARED, PAPER)
    assert verdict.startswith("**in part so far, 1 of 2 sizes**: ")
    p = stats.ttest_ind(LOW, WIDE, equal_var=False).pvalue
    assert verdict.endswith(f"; {LARGE}, CutMix +9.0 points, +29 % (3 and 3 runs, p = {p:.2g})")


def test_another_precision_is_reported(stored):
    half = [
        ended(LARGE, "cosine", 0.1, seed, best=v, options="--epochs 3 --mixed_precision bfloat16")
        for seed, v in enumerate(HIGH)
    ]
    full = [ended(LARGE, "xent", 0.1, seed, best=v) for seed, v in enumerate(LOW)]
    write_runs(claims.STORED / "digits", [*full, *half])
    assert "(3 and 3 runs in float32 and bfloat16, p" in verdict_on(COMPARED, PAPER)


def test_nothing_is_claimed_where_nothing_was_run(stored):
    stored({})
    assert verdict_on(COMPARED, PAPER) == "not run"
    assert verdict_on(None, PAPER) == "not testable here"
    *table, _, _, corrected, _, last = claims_table()
    assert len(table) == 2 + len(CLAIMS) and last.endswith(": 0 runs, 0 hours.")
    assert corrected.startswith(
        "- held-out: 0 tests, 0 with p < 0.05; after Holm's correction, 0 of them."
    )


@pytest.mark.parametrize("tests", [1, 2, 10])
def test_differences_remain_significant_only_among_few_tests(stored, monkeypatch, tests):
    higher = (0.33, 0.34, 0.35)
    stored({(LARGE, "xent"): LOW, (LARGE, "cosine"): higher})
    one = Claim("x", "5", replace(COMPARED, datasets=(LARGE,)))
    # Others with the same result, told apart by the name of their study.
    others = [replace(one, test=replace(one.test, study=f"digits{i}")) for i in range(1, tests)]
    for claim in others:
        (claims.STORED / claim.test.study).symlink_to(claims.STORED / "digits")
    monkeypatch.setattr(claims, "CLAIMS", (one, *others))
    line = claims_table()[-4]
    p = tests * stats.ttest_ind(LOW, higher, equal_var=False).pvalue
    assert 0.01 < p / tests < 0.05
    assert line.startswith(f"- best epoch: {tests} tests, {tests} with p < 0.05; ")
    assert (f"{LARGE} in `digits`, +3.0 (p = {p:.2g})" in line) == (p < 0.05)


def test_the_hours_are_those_of_all_stored_runs():
    times = [
        run["seconds"]
        for file in sorted(results.STORED.glob("*/results.json"))
        for run in json.loads(file.read_text())
        if isinstance(run, dict)
    ]
    assert f": {len(times)} runs, {sum(times) / 3600:.0f} hours." in claims_table()[-1]


def all_runs(part, test):
    """All trials of a part, of which those of the better loss of a claim are 20 points ahead."""
    repeated = [
        trial
        for cell in part.cells()
        for rate in (*part.rates_of(cell[1]), *part.fixed_rates(cell[1]))
        for trial in part.repeated(cell, rate)
    ]
    for trial in {*repeated, *part.first_trials()}:
        folders = test.folders[1:] or [part.folder]
        better = trial.point.loss == test.better and part.folder in folders
        value = (0.5 if better else 0.3) + trial.point.seed / 100
        values = {"best": value, "last": value, "test": value}
        command = f"x {part.options}"
        yield Run(part.folder, trial.name, "finished", 1, command, None, {}, 0, 1, **values)


@pytest.mark.parametrize("claim", [c for c in CLAIMS if c.test], ids=lambda claim: claim.text)
def test_claims_get_a_verdict_once_their_trials_have_been_run(claim, monkeypatch):
    test = claim.test
    parts = load(test.study).reduced
    runs = {part: {run.name: run for run in all_runs(part, test)} for part in parts}
    monkeypatch.setattr(claims, "read_runs", lambda folder: [])
    monkeypatch.setattr(claims, "runs_of", lambda stored, part: runs[part])
    expected = {EQUAL: "contradicted", GROWING: "inconclusive"}.get(test.kind, "supported")
    for protocol in {protocol for part in parts for protocol in part.shown}:
        assert verdict_on(test, protocol).startswith(f"**{expected}**: ")
