"""The recipes of CONTRIBUTING.md, executed as they are written."""

import importlib
import re
import sys

import numpy as np
import pytest

import datasets
import models
from datasets.base import DATASETS
from models.registry import BACKBONES
from tests.docs.documents import ROOT, block
from tests.fake_data import write_image, write_lines
from utils import UserError

PAGE = "CONTRIBUTING.md"


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A function that writes the block with a given text into a module and imports it."""

    def load(name, containing):
        (tmp_path / f"{name}.py").write_text(block(PAGE, containing))
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, name, raising=False)
        return importlib.import_module(name)

    for registry in (DATASETS, BACKBONES):
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    return load


@pytest.fixture
def garden(tmp_path, module):
    """A garden of two classes with three training images and a test image each."""
    module("garden", 'register("Garden")')
    root = tmp_path / "flowers"
    rows = [(f"{c}{i}.png", c, "test" if i == 3 else "train") for c in "ab" for i in range(4)]
    for seed, (name, _, _) in enumerate(rows):
        write_image(root / name, seed)
    write_lines(root / "list.csv", map(",".join, rows))
    return root


def test_the_new_data_set_has_subsets_sizes_and_images(garden):
    assert "Garden" in datasets.dataset_names()
    whole = datasets.get_dataset("Garden", garden)
    assert (len(whole.train), len(whole.test), whole.labels) == (6, 2, ("a", "b"))
    small = datasets.get_dataset("Garden-sub2", garden, target_size=16, repeats=1)
    assert np.bincount(small.train.labels).tolist() == [2, 2]
    image = small.preprocessing.test(small.test[0], np.random.default_rng(0))
    assert image.shape == (14, 14, 3)


def test_the_new_data_set_refuses_a_broken_line(garden):
    write_lines(garden / "list.csv", ["a0.png,a"])
    with pytest.raises(UserError, match=r"each line must be file,class,train\|test"):
        datasets.get_dataset("Garden", garden)


def test_the_new_backbone_is_built_by_its_name(module, monkeypatch):
    module("two_convolutions", 'register("two-convolutions")')
    [(name, families)] = re.findall(
        r'`"models\.backbones\.(\w+)": (\(.*?\)),`', (ROOT / PAGE).read_text()
    )
    assert families == '("two-convolutions",)'
    monkeypatch.setitem(models.FAMILIES, name, ("two-convolutions",))
    network = models.build_backbone("two-convolutions", 5, classifier=True)
    probabilities = network(np.zeros((2, 16, 16, 3), "float32"))
    assert probabilities.shape == (2, 5)
    np.testing.assert_allclose(np.sum(probabilities, axis=1), 1, rtol=1e-5)
