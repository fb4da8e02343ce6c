"""Plots of shares on a logarithmic axis."""

from pathlib import Path
from unittest import mock

import numpy as np

from evaluation import plots
from evaluation.plots import Panel, sampled, write_rate_plot


def test_no_line_leads_to_zero_on_a_logarithmic_axis():
    """A score that is the same for all images has two points only, of which 0 has no place."""
    curves = {"all equal": (np.array([1.0, 0.0]), np.array([0.3, 0.0]))}
    panels = [Panel("linear", "x", "y", curves), Panel("log", "x", "y", curves, log=True)]
    with mock.patch.object(plots, "save_plot") as save:
        write_rate_plot(Path("x.png"), panels)
    figure = save.call_args.args[0]
    linear, log = figure.axes
    assert np.isfinite(linear.transData.transform((0.0, 0.0))).all()
    assert np.isfinite(log.transData.transform((1.0, 0.3))).all()
    assert not np.isfinite(log.transData.transform((0.0, 0.0))[0])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["all equal"]


def test_sampled_curves_have_the_largest_height_up_to_a_place():
    rng = np.random.default_rng(0)
    places, heights = (np.sort(rng.integers(0, 50, 300) / 50)[::-1] for _ in range(2))
    places, heights = np.append(places, 0.0), np.append(heights, 0.0)
    found = sampled((places, heights))
    assert {"0", "0.001", "0.05", "0.5", "1"} < found.keys()
    for place, height in found.items():
        assert height == heights[places <= float(place)].max()
