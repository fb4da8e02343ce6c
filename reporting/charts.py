"""Geometry of the charts in a report: coordinates for SVG, without any markup.

Coordinates are in the units of the chart's view box, from its upper left corner.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 440, 240
"""Size of a chart; a parallel plot is wider."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 12, 12, 40  # margins
_MORE = 1.8
_MOST = 1e12  # a larger loss would hide all others


@dataclass(frozen=True)
class Series:
    """Data of a line; values that are far too large or not finite are left out."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    strong: bool = True  # whether it stands out


@dataclass(frozen=True)
class Line:
    """A line for SVG."""

    label: str
    points: str  # "x,y x,y …"
    last: tuple[float, float]  # coordinates of the last point
    strong: bool
    color: int  # index in the page's palette


@dataclass(frozen=True)
class Tick:
    """A mark on an axis."""

    at: float
    label: str


@dataclass(frozen=True)
class LineChart:
    """Lines over two axes."""

    lines: tuple[Line, ...]
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    left: float = _LEFT
    right: float = WIDTH - _RIGHT
    top: float = _TOP
    bottom: float = HEIGHT - _BOTTOM


def line_chart(series: Sequence[Series], percent: bool = False) -> LineChart | None:
    """Return a chart of several lines, or None if there is nothing to draw.

    ``percent`` shows values in [0, 1] as percentages.
    """
    drawn = [(s, _finite(s)) for s in series]
    values = [point for _, points in drawn for point in points]
    if not values:
        return None
    x, y = zip(*values, strict=True)
    across = _Scale(min(x), max(x), _LEFT, WIDTH - _RIGHT)
    up = _Scale(min(0.0, *y), max(y), HEIGHT - _BOTTOM, _TOP)
    lines = [
        _line(s.label, [(across(a), up(b)) for a, b in points], s.strong, i)
        for i, (s, points) in enumerate(drawn)
        if points
    ]
    return LineChart(
        tuple(sorted(lines, key=lambda line: line.strong)),
        tuple(Tick(across(v), f"{v:g}") for v in across.ticks(whole=True)),
        tuple(Tick(up(v), f"{100 * v:g} %" if percent else f"{v:g}") for v in up.ticks()),
    )


def _finite(series: Series) -> list[tuple[float, float]]:
    points = zip(series.x, series.y, strict=True)
    return [(x, y) for x, y in points if abs(x) < _MOST and abs(y) < _MOST]


def _line(label: str, points: list[tuple[float, float]], strong: bool, color: int) -> Line:
    text = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return Line(label, text, points[-1], strong, color)


class _Scale:
    """Map of values to coordinates, linear or logarithmic."""

    def __init__(self, low: float, high: float, start: float, end: float, log: bool = False):
        self.log = log
        self.low, self.high = low, high if high > low else low + 1
        self._start, self._end = start, end

    def __call__(self, value: float) -> float:
        low, high, value = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        return self._start + (value - low) / (high - low) * (self._end - self._start)

    def ticks(self, whole: bool = False) -> list[float]:
        """Return round values within the range."""
        from matplotlib.ticker import LogLocator, MaxNLocator

        locator = LogLocator() if self.log else MaxNLocator(5, steps=[1, 2, 5, 10], integer=whole)
        found = locator.tick_values(self.low, self.high)
        return [float(v) for v in found if self.low <= v <= self.high]


@dataclass(frozen=True)
class Axis:
    """An axis of a parallel plot."""

    name: str
    x: float
    ticks: tuple[Tick, ...]


@dataclass(frozen=True)
class ParallelPlot:
    """Parallel coordinates: each row of a table is a line through all axes."""

    axes: tuple[Axis, ...]
    lines: tuple[Line, ...]
    width: float = _MORE * WIDTH
    top: float = _TOP + 20
    bottom: float = HEIGHT - _TOP


def parallel_plot(
    rows: Sequence[Mapping[str, object]], columns: Mapping[str, str], best: int | None
) -> ParallelPlot | None:
    """Return the parallel plot of a table, or None if it has fewer than two rows.

    Args:
        rows: values by column; rows without a value in the last column are left out.
        columns: scale by column: ``"names"``, ``"log"`` or ``"linear"``.
        best: index of the row to highlight, or None.
    """
    last = list(columns)[-1]
    shown = [(i, row) for i, row in enumerate(rows) if row[last] is not None]
    if len(shown) < 2:
        return None
    scales = {name: _axis_scale([row[name] for _, row in shown], columns[name]) for name in columns}
    step = (_MORE * WIDTH - 160) / (len(columns) - 1)
    x = {name: 100 + i * step for i, name in enumerate(columns)}
    axes = [Axis(name, x[name], scales[name][1]) for name in columns]
    lines = [
        _line(str(i + 1), [(x[name], scales[name][0](row[name])) for name in columns], i == best, i)
        for i, row in shown
    ]
    return ParallelPlot(tuple(axes), tuple(sorted(lines, key=lambda line: line.strong)))


def _axis_scale(values: list, kind: str) -> tuple:
    """Return the function from values to coordinates on an axis, and the ticks."""
    top, bottom = _TOP + 20, HEIGHT - _TOP
    if kind == "names":
        names = sorted(set(values), key=str)
        scale = _Scale(-0.5, len(names) - 0.5, bottom, top)
        at = {name: scale(i) for i, name in enumerate(names)}
        return at.__getitem__, tuple(Tick(y, str(name)) for name, y in at.items())
    scale = _Scale(min(values), max(values), bottom, top, kind == "log")
    ends = dict.fromkeys((scale.low, scale.high) if max(values) > min(values) else (scale.low,))
    return scale, tuple(Tick(scale(v), f"{v:.3g}") for v in ends)
