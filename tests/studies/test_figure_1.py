"""The picture of the losses: its values by hand, and the file."""

import numpy as np
from PIL import Image

from studies import figure_1

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


def test_the_command_writes_a_picture(tmp_path):
    assert figure_1.main([str(tmp_path / "losses.png")]) == 0
    with Image.open(tmp_path / "losses.png") as image:
        assert image.format == "PNG"
        assert len(image.convert("RGB").getcolors(1 << 24)) > 13


def test_without_a_file_name_it_says_how_to_call_it(capsys):
    assert figure_1.main([]) == 2
    assert "python -m studies.figure_1 FILE" in capsys.readouterr().err
