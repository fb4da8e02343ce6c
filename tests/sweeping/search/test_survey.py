"""Survey of image files: sizes, colors, damage."""

import numpy as np
from PIL import Image

from sweeping.search.survey import survey
from tests.fake_data import write_image


def test_sizes_colors_and_damage(tmp_path):
    color = write_image(tmp_path / "color.png", 0, (6, 9))
    gray = tmp_path / "gray.png"
    Image.fromarray(np.arange(20, dtype=np.uint8).reshape(5, 4)).save(gray)
    same = tmp_path / "same.png"  # stored in color, without any
    Image.fromarray(np.full((7, 7, 3), 9, np.uint8)).save(same)
    bad = tmp_path / "bad.png"
    bad.write_bytes(color.read_bytes()[:60])
    found = survey([color, gray, bad, same])
    assert found.sizes.tolist() == [[9, 6], [4, 5], [7, 7]]
    assert found.gray == 2 and [*found.damaged] == [bad] and found.shorter_side == 6
    assert [*found.lines()] == [
        "7x6 pixels (median); shorter sides from 4 to 7",
        "1 in color, 2 in gray",
        "1 damaged",
    ]


def test_only_damaged_images_are_found(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    found = survey([tmp_path / "a.png", tmp_path / "missing.png"])
    assert len(found.sizes) == 0 and [*found.lines()] == ["2 damaged"]
