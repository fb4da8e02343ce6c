"""Plot files: known formats, the same bytes each time, no warnings."""

import logging

import pytest
from matplotlib.figure import Figure

from storage.plots import save_plot


def plot(text):
    figure = Figure((2, 1))
    figure.add_subplot().set_title(text)
    return figure


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_the_same_plot_is_the_same_file(tmp_path, suffix):
    for name in "ab":
        save_plot(plot("blue tit"), tmp_path / f"{name}{suffix}")

    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()
    if suffix == ".svg":
        assert "blue tit" in (tmp_path / "a.svg").read_text()


def test_missing_glyphs_are_reported_once(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        save_plot(plot("\u9d25\u9d26"), tmp_path / "a.png")

    assert caplog.text.count("missing in the font") == 1
