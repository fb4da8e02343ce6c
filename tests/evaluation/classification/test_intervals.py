"""Wilson intervals against published ones and the formula."""

import math

import pytest

from evaluation.classification.intervals import wilson_interval

# R. G. Newcombe, Two-sided confidence intervals for the single proportion, Statistics in Medicine
# 17, 1998, Table I, method 3.
PUBLISHED = {
    (81, 263): (0.2553, 0.3662),
    (15, 148): (0.0624, 0.1605),
    (0, 20): (0.0000, 0.1611),
    (1, 29): (0.0061, 0.1718),
}


@pytest.mark.parametrize(("counts", "expected"), PUBLISHED.items())
def test_published_intervals(counts, expected):
    assert wilson_interval(*counts) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize(("correct", "samples"), [(0, 1), (1, 1), (7, 9), (500, 1000)])
def test_the_formula(correct, samples):
    z, share = 1.959963984540054, correct / samples
    center = (share + z**2 / (2 * samples)) / (1 + z**2 / samples)
    half = z / (1 + z**2 / samples)
    half *= math.sqrt(share * (1 - share) / samples + z**2 / (4 * samples**2))
    expected = (max(0, center - half), min(1, center + half))
    assert wilson_interval(correct, samples) == pytest.approx(expected, abs=1e-9)
