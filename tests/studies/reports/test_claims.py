"""Verdicts about the paper's claims, from hand-made results."""

import pytest
from scipy import stats

from studies.reports import claims
from studies.reports.claims import CLAIMS, Claim, claims_table, verdict_on
from studies.results import write_runs
from studies.study import TITLES, load
from sweeping.grid import PAPER, VALIDATION
from tests.studies.test_results import LARGE, PART, SMALL, STUDY, ended

CLAIM = Claim("cosine is better", "5", "digits", "xent", "cosine", PART.datasets)


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


@pytest.mark.parametrize(
    ("large", "small", "verdict"),
    [
        ((LOW, HIGH), (LOW, HIGH), "supported"),
        ((LOW, HIGH), (LOW, WIDE), "in part"),
        ((LOW, HIGH), (HIGH, LOW), "in part"),
        ((LOW, WIDE), (HIGH, LOW), "not supported"),
        (
            (LOW, HIGH),
            (LOW[:1], HIGH[:1]),
            "inconclusive, too few runs; the sign agrees with the claim",
        ),
        (
            (LOW, HIGH),
            (HIGH[:1], LOW[:1]),
            "inconclusive, too few runs; the sign disagrees with the claim",
        ),
    ],
)
def test_verdicts(stored, large, small, verdict):
    pairs = zip((LARGE, LARGE, SMALL, SMALL), ("xent", "cosine") * 2, strict=True)
    stored(dict(zip(pairs, (*large, *small), strict=True)))
    assert verdict_on(CLAIM, PAPER).startswith(f"**{verdict}**: ")
    assert verdict_on(CLAIM, VALIDATION) == "not run"


def test_the_accuracies_that_a_verdict_rests_on(stored):
    stored({(LARGE, "xent"): LOW, (LARGE, "cosine"): HIGH[:2]})
    p = stats.ttest_ind(LOW, HIGH[:2], equal_var=False).pvalue
    measured = f"{LARGE} +20.0 points (3 and 2 runs, p = {p:.2g})"
    assert verdict_on(CLAIM, PAPER) == f"**supported so far, 1 of 2 sizes**: {measured}"


def test_nothing_is_claimed_where_nothing_was_run(stored):
    stored({})
    assert verdict_on(CLAIM, PAPER) == "not run"
    assert verdict_on(Claim("other", "5"), PAPER) == "not testable here"
    assert len(claims_table()) == 2 + len(CLAIMS)


def test_claims_name_cells_of_studies():
    for claim in CLAIMS:
        assert {claim.worse, claim.better} - {""} <= set(TITLES)
        cells = [
            cell
            for part in (load(claim.study).reduced if claim.study else ())
            for cell in part.cells()
        ]
        for dataset in claim.datasets:
            assert (dataset, claim.worse) in cells and (dataset, claim.better) in cells
