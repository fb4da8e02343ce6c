"""Plot files: known formats, the same bytes each time, no warnings."""

import logging
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from storage.plots import check_plot_path, save_plot
from utils import UsageError


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


def test_a_suffix_in_any_case_names_the_format():
    check_plot_path("--plot", Path("a.SVG"), (".png", ".svg"))
    with pytest.raises(UsageError, match=r"--plot a\.bmp: .*\.png or \.svg"):
        check_plot_path("--plot", Path("a.bmp"), (".png", ".svg"))


def test_characters_that_the_font_lacks_are_told_once(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        save_plot(plot("\u9d25\u9d26"), tmp_path / "a.png")

    assert caplog.text.count("not in the font") == 1
