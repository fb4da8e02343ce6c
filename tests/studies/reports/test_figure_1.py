"""The picture of the losses: values by hand, panels and contours."""

import numpy as np

from studies.reports import figure_1

FEATURES = np.array([[1, 0], [2, 0], [0, 2], [-1, 0], [0.6, 0.8]], "float32")
BY_HAND = {
    "softmax + cross-entropy": [np.log1p(np.exp(-d)) for d in (1, 2, -2, -1, -0.2)],
    "MSE": [0, 1, 5, 4, 0.8],
    "cosine loss": [0, 0, 1, 2, 0.4],
}


def test_the_values_are_those_computed_by_hand():
    values = figure_1.loss_values(FEATURES)
    assert values.keys() == BY_HAND.keys()
    for name, expected in BY_HAND.items():
        np.testing.assert_allclose(values[name], expected, atol=1e-6)


def test_each_loss_has_a_panel_with_its_contours():
    figure = figure_1.figure_of_losses()
    panels = {panel.get_title(): panel for panel in figure.axes if panel.get_title()}
    assert list(panels) == list(BY_HAND)
    for panel in panels.values():
        filled, lines = panel.collections
        assert len(filled.levels) == 13 and len(lines.levels) == 12
