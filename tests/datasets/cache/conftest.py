"""A tiny CUB whose images differ in size."""

import pytest

from tests.fake_data import write_cub, write_image


@pytest.fixture
def root(tmp_path):
    root = write_cub(tmp_path / "cub")
    for i, path in enumerate(sorted((root / "images").glob("*/*.jpg"))):
        write_image(path, i, (40 + i, 61 - i))
    return root
