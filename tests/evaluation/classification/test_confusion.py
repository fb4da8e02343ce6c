"""The confusion matrix, its groups of classes, and its plot."""

import re
from html import unescape

import numpy as np
import pytest
from PIL import Image
from sklearn import metrics

from embeddings.taxonomy.tree import Taxonomy
from evaluation.classification.confusion import Arrangement, arrange, confusion_matrix, row_shares
from evaluation.classification.confusion_plot import plot_confusion


def test_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    labels, predicted = rng.integers(0, 6, 200), rng.integers(0, 7, 200)
    expected = metrics.confusion_matrix(labels, predicted, labels=range(8))
    np.testing.assert_array_equal(confusion_matrix(predicted, labels, 8), expected)
    present = row_shares(confusion_matrix(predicted, labels, 8))[:6]
    np.testing.assert_allclose(present.sum(axis=1), 1)
    np.testing.assert_allclose(
        present, metrics.confusion_matrix(labels, predicted, labels=range(8), normalize="true")[:6]
    )
    assert np.isnan(row_shares(np.zeros((2, 2), int))).all()


def grouped(sizes: list[int]) -> Taxonomy:
    """A root with groups of leaves; a group of one is a leaf below the root. Leaves take turns."""
    labels: list[int | None] = [None]
    names, edges = ["root"], []
    parents = []
    for i, size in enumerate(sizes):
        parents.append(0)
        if size > 1:
            edges.append((0, len(labels)))
            parents[-1] = len(labels)
            labels.append(None)
            names.append(f"group {i}")
    leaves = [(g, k) for k in range(max(sizes)) for g, size in enumerate(sizes) if k < size]
    for label, (group, _) in enumerate(leaves):
        edges.append((parents[group], len(labels)))
        labels.append(label)
        names.append(f"leaf of {group}")
    return Taxonomy(labels, edges, names)


def arranged(taxonomy: Taxonomy) -> Arrangement:
    return arrange(taxonomy, taxonomy.leaf_labels)


def test_groups_are_the_branches():
    found = arranged(grouped([3, 2, 4]))
    assert found.groups == (("group 0", 3), ("group 1", 2), ("group 2", 4))
    # Leaves are numbered in turns: 0 1 2, 3 4 5, 6 7 (of groups 0 and 2), 8 (of group 2).
    assert found.order == (0, 3, 6, 1, 4, 2, 5, 7, 8)


def test_a_single_class_has_its_own_name():
    assert ("leaf of 1", 1) in arranged(grouped([5, 1, 4])).groups


def test_groups_too_small_to_be_named_stay_together():
    """Leave 300 classes undivided, since groups of two are too small for names."""
    assert arranged(grouped([2] * 150)).groups == (("root", 300),)
    found = arranged(grouped([200] + [2] * 50)).groups
    assert found[0] == ("group 0", 200)
    assert sum(size for _, size in found) == 300


def texts(path) -> list[str]:
    """The texts of an SVG plot."""
    return [unescape(text).strip() for text in re.findall(r">([^<>]+)</text>", path.read_text())]


def counts(classes: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 3, (classes, classes)) + 20 * np.eye(
        classes, dtype=int
    )


def test_few_classes_have_names_and_shares(tmp_path):
    path = tmp_path / "few.svg"
    confusion = np.array([[3, 1, 0], [0, 5, 0], [0, 0, 0]])
    plot_confusion(path, confusion, ["cat", "dog $x", "cow $y"], title="pets")
    found = texts(path)
    for name in ("cat", "dog $x", "cow $y"):
        assert found.count(name) == 2
    assert {"75", "25", "100", "pets"} <= set(found)
    assert found.count("100") == 1


def test_the_order_is_that_of_the_arrangement(tmp_path):
    path = tmp_path / "order.svg"
    arrangement = Arrangement((2, 0, 1), (("one", 2), ("two", 1)))
    plot_confusion(path, counts(3), ["a", "b", "c"], arrangement)
    assert [text for text in texts(path) if text in "abc"][:3] == ["c", "a", "b"]


@pytest.mark.parametrize("classes", [60, 61])
def test_names_up_to_sixty_classes_and_groups_beyond(tmp_path, classes):
    path = tmp_path / "many.svg"
    names = [f"class {i}" for i in range(classes)]
    arrangement = Arrangement(tuple(range(classes)), (("left", 40), ("right", classes - 40)))
    plot_confusion(path, counts(classes), names, arrangement)
    found = set(texts(path))
    assert (set(names) <= found) == (classes == 60)
    assert ({"left", "right"} <= found) == (classes == 61)


def test_all_of_555_classes_are_visible(tmp_path):
    """Draw every class at least two pixels wide."""
    confusion = np.zeros((555, 555), int)
    confusion[:, 277] = 1
    plot_confusion(tmp_path / "large.png", confusion, [""] * 555)
    pixels = np.asarray(Image.open(tmp_path / "large.png").convert("L"))
    width = pixels.shape[1]
    dark = np.count_nonzero(pixels[:, width // 4 : 3 * width // 4] < 90, axis=0)
    assert np.count_nonzero(dark > 1200) in (2, 3, 4)
