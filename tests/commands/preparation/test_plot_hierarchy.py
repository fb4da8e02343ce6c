"""plot_hierarchy.py: pictures in both formats, with names, of all classes or of some."""

import os
from xml.etree import ElementTree

import pytest
from PIL import Image

import plot_hierarchy
from tests.commands.running import run, succeed
from tests.fake_data import write_lines


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Some birds in the layout of NABirds, as the working folder."""
    monkeypatch.chdir(tmp_path)
    write_lines(tmp_path / "hierarchy.txt", ["1 0", "2 0", "7 1", "8 1", "9 2"])
    names = ["0 Birds", "1 Ducks & Geese", "2 Owls", "7 Gadwall (Male)", "8 Brant", "9 Barn Owl"]
    write_lines(tmp_path / "classes.txt", names)
    write_lines(tmp_path / "some.txt", ["9 Barn Owl", "7"])
    return tmp_path


def written(path):
    """Return the texts of an SVG picture."""
    return [
        "".join(node.itertext()) for node in ElementTree.parse(path).iter() if "}text" in node.tag
    ]


def test_svg_with_names(folder):
    outcome = succeed(
        plot_hierarchy, "--hierarchy hierarchy.txt --is_a --names classes.txt --out h.svg"
    )
    assert written("h.svg") == [
        "hierarchy: 3 classes, height 2",
        *("Birds", "Ducks & Geese", "Gadwall (Male)", "Brant", "Owls", "Barn Owl"),
    ]
    assert outcome.out.startswith("3 classes, height 2; ") and "h.svg" in outcome.out


def test_png_of_a_shipped_one():
    succeed(plot_hierarchy, "--hierarchy cifar100 --out c.png")
    with Image.open("c.png") as image:
        width, height = image.size
        assert image.format == "PNG" and width > height > 900
        assert len(image.convert("RGB").getcolors(1 << 24)) > 100


def test_some_classes_and_a_title():
    options = "--hierarchy hierarchy.txt --is_a --class_list some.txt --out h.svg --title"
    succeed(plot_hierarchy, options, "Two birds")
    assert written("h.svg") == ["Two birds: 2 classes, height 2", "0", "1", "7", "2", "9"]


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        ("--hierarchy hierarchy.txt --out h.svg", 1, "give --is_a"),
        ("--hierarchy hierarchy.txt --is_a --out h.pdf", 2, ".svg or .png"),
        ("--hierarchy hierarchy.txt --is_a --out old.svg", 2, "--overwrite"),
        ("--hierarchy none --out h.svg", 1, "cub_flat"),
        ("--hierarchy hierarchy.txt --is_a --class_list empty.txt --out h.svg", 2, "empty.txt"),
        ("--hierarchy hierarchy.txt --is_a --names bare.txt --out h.svg", 1, "bare.txt: '7'"),
        ("--hierarchy graph.txt --out h.svg", 1, "not a tree"),
    ],
)
def test_errors_are_one_line(folder, options, status, said):
    (folder / "old.svg").write_text("precious")
    write_lines(folder / "empty.txt", [])
    write_lines(folder / "bare.txt", ["7"])
    write_lines(folder / "graph.txt", ["0 1", "0 2", "1 3", "2 3"])
    outcome = run(plot_hierarchy, options)
    assert outcome.status == status and outcome.out == ""
    assert said in outcome.err and len(outcome.err.splitlines()) == 1
    assert not (folder / "h.svg").exists() and (folder / "old.svg").read_text() == "precious"


def test_too_many_classes_for_one_picture_are_refused(folder):
    write_lines(folder / "huge.txt", [f"0 {i}" for i in range(1, plot_hierarchy.MOST_CLASSES + 2)])
    outcome = run(plot_hierarchy, "--hierarchy huge.txt --out huge.png")
    assert outcome.status == 2 and "5001 classes" in outcome.err
    assert not (folder / "huge.png").exists()


def test_pictures_that_would_take_gigabytes_are_refused(folder, monkeypatch):
    assert 4 * plot_hierarchy.MOST_PIXELS <= 2**30  # bytes
    succeed(plot_hierarchy, "--hierarchy hierarchy.txt --is_a --out h.png")
    with Image.open("h.png") as picture:
        pixels = picture.width * picture.height
    monkeypatch.setattr(plot_hierarchy, "MOST_PIXELS", 1.02 * pixels)
    succeed(plot_hierarchy, "--hierarchy hierarchy.txt --is_a --out same.png")
    monkeypatch.setattr(plot_hierarchy, "MOST_PIXELS", 0.98 * pixels)
    outcome = run(plot_hierarchy, "--hierarchy hierarchy.txt --is_a --out large.png")
    assert outcome.status == 2 and "inches are too large for .png" in outcome.err.splitlines()[-1]
    assert not (folder / "large.png").exists()


def test_names_of_any_characters(folder):
    odd = ["0 Birds", "1 \x01", "2 \u8349\u539f", "7 a\x00b", "8 x", "9 y"]
    write_lines(folder / "odd.txt", odd)
    options = "--hierarchy hierarchy.txt --is_a --names odd.txt --out h.svg --title"
    outcome = succeed(plot_hierarchy, options, os.fsdecode(b"\xff"))
    shown = written("h.svg")
    assert shown[0].startswith("\\udcff: 3 classes") and "a\\x00b" in shown and "\\x01" in shown
    (line,) = outcome.err.splitlines()
    assert line.endswith("some characters are missing in the font and appear as boxes")
