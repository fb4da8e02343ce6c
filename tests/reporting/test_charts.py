"""Geometry of charts: points, ticks and axes."""

import math

import pytest

from reporting.charts import Series, line_chart, parallel_plot


def points(line):
    return [tuple(map(float, pair.split(","))) for pair in line.points.split()]


def test_lines_fill_the_chart_and_grow_upwards():
    chart = line_chart([Series("a", [1, 2, 3], [0.0, 0.5, 1.0])], percent=True)
    (line,) = chart.lines
    assert points(line) == [
        (chart.left, chart.bottom),
        ((chart.left + chart.right) / 2, (chart.top + chart.bottom) / 2),
        (chart.right, chart.top),
    ]
    assert [tick.label for tick in chart.across] == ["1", "2", "3"]
    assert [tick.label for tick in chart.up] == ["0 %", "20 %", "40 %", "60 %", "80 %", "100 %"]
    ticks = [tick.at for tick in chart.up]
    assert ticks == pytest.approx(
        [chart.bottom - i / 5 * (chart.bottom - chart.top) for i in range(6)]
    )


def test_values_that_were_not_measured_are_left_out():
    series = [
        Series("a", [1, 2, 3], [0.5, math.nan, 0.7]),
        Series("b", [1, 2], [math.inf, math.nan]),
    ]
    (line,) = line_chart(series).lines
    assert len(points(line)) == 2 and line.label == "a"
    assert line_chart(series[1:]) is None and line_chart([]) is None


def test_a_single_point_has_a_place():
    chart = line_chart([Series("a", [4], [0.0])])
    assert chart.lines[0].last == (chart.left, chart.bottom)


def test_strong_lines_come_last_and_keep_their_color():
    chart = line_chart([Series("best", [1, 2], [1, 2]), Series("other", [1, 2], [1, 3], False)])
    assert [(line.label, line.color) for line in chart.lines] == [("other", 1), ("best", 0)]


ROWS = [
    {"objective": "xent", "rate": 0.01, "accuracy": 0.2},
    {"objective": "cosine", "rate": 0.1, "accuracy": 0.6},
    {"objective": "xent", "rate": 1.0, "accuracy": 0.4},
    {"objective": "xent", "rate": 1.0, "accuracy": None},
]
SCALES = {"objective": "names", "rate": "log", "accuracy": "linear"}


def test_parallel_plots_have_a_line_for_each_row_with_a_result():
    plot = parallel_plot(ROWS, SCALES, best=1)
    assert [line.label for line in plot.lines] == ["1", "3", "2"]
    x = [axis.x for axis in plot.axes]
    assert x == sorted(x) and x[1] - x[0] == pytest.approx(x[2] - x[1])
    low, high, best = (points(line) for line in plot.lines)
    assert [p[0] for p in low] == pytest.approx(x, abs=0.1)
    middle = (plot.top + plot.bottom) / 2
    assert (low[1][1], best[1][1], high[1][1]) == pytest.approx((plot.bottom, middle, plot.top))
    assert (low[2][1], high[2][1], best[2][1]) == pytest.approx((plot.bottom, middle, plot.top))
    assert low[0][1] == high[0][1] != best[0][1]
    assert [tick.label for tick in plot.axes[0].ticks] == ["cosine", "xent"]
    assert [tick.label for tick in plot.axes[1].ticks] == ["0.01", "1"]


def test_one_result_is_no_plot():
    assert parallel_plot(ROWS[:1] + ROWS[3:], SCALES, best=0) is None
