"""Checks of the soak on made-up series: growth, peaks, falls, threads."""

import pytest

from benchmarks.robustness import soak
from utils import UserError


def series(memory, threads=None):
    count = len(memory)
    return {
        "seconds": [60.0 * i for i in range(count)],
        "memory_mib": memory,
        "with_libraries_mib": [2 * m for m in memory],
        "threads": threads or [9] * count,
        "files": [5] * count,
        "epochs": list(range(count)),
    }


def test_growth_is_counted_after_the_warm_up():
    memory = [10.0, 500.0, *([100.0] * 10), *([101.0] * 10)]
    table = soak.summary(series(memory), warm_up=120)
    assert table["memory_mib"] == pytest.approx(
        {"first": 100, "last": 101, "min": 100, "max": 101, "growth": 1, "rise": 1, "range": 1}
    )
    assert (table["epochs"]["first"], table["epochs"]["last"]) == (2.5, 20.5)
    soak.check(table, percent=2)
    with pytest.raises(UserError, match=r"memory grew by 1\.00 %"):
        soak.check(table, percent=0.5)


def test_a_temporary_peak_is_detected():
    table = soak.summary(series([100.0] * 10 + [110.0] + [100.0] * 10), warm_up=0)
    with pytest.raises(UserError, match=r"ranged over 10\.00 %"):
        soak.check(table, percent=2)


def test_a_temporary_fall_is_detected_and_differs_from_a_rise():
    table = soak.summary(series([100.0] * 10 + [90.0] + [100.0] * 10), warm_up=0)
    assert table["memory_mib"]["rise"] == 0
    with pytest.raises(UserError, match=r"ranged over 11\.11 %"):
        soak.check(table, percent=2)


def test_more_threads_are_growth():
    table = soak.summary(series([100.0] * 20, threads=[9] * 10 + [10] * 10), warm_up=0)
    with pytest.raises(UserError, match="more threads"):
        soak.check(table, percent=2)


def test_short_series_are_inconclusive():
    with pytest.raises(UserError, match="more --minutes"):
        soak.summary(series([100.0]), warm_up=60)


def test_threads_that_come_and_go_are_no_growth():
    table = soak.summary(series([100.0] * 40, threads=[9, 11, 11, 11] * 10), warm_up=0)
    soak.check(table, percent=2)
