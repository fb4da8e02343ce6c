"""Class means, their distances, projections and styles of classes, by hand and by NumPy."""

import csv

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from evaluation.classification.confusion import Arrangement
from evaluation.embeddings.distances import class_distances, plot_distances, write_distances
from evaluation.embeddings.embedded import Embedded
from evaluation.embeddings.plane import in_plane
from evaluation.embeddings.scatter import STYLES, figure_of_features
from utils import UsageError, UserError


def embedded(vectors, labels, known=None, targets=None, name="net", metric="euclidean"):
    vectors, labels = np.float32(vectors), np.array(labels)
    known = np.ones(labels.max() + 1, bool) if known is None else np.array(known)
    if targets is None:
        targets = np.full((len(known), vectors.shape[1]), np.nan)
    return Embedded(name, vectors, labels, known, np.asarray(targets, float), metric)


# Means (1, 0), (0, 2) and (-3, -4).
THREE = embedded([[2, 0], [0, 2], [0, 0], [-3, -4]], [0, 1, 0, 2], known=[True, True, False])


def test_distances_of_class_means_by_hand():
    np.testing.assert_allclose(THREE.means, [[1, 0], [0, 2], [-3, -4]])
    far = [[0, 5**0.5, 32**0.5], [5**0.5, 0, 45**0.5], [32**0.5, 45**0.5, 0]]
    np.testing.assert_allclose(class_distances(THREE, "euclidean"), far)
    np.testing.assert_allclose(
        class_distances(THREE, "cosine"), [[0, 1, 1.6], [1, 0, 1.8], [1.6, 1.8, 0]], atol=1e-15
    )
    with pytest.raises(UserError, match="mean features of a class are 0"):
        class_distances(embedded([[1, 0], [-1, 0], [0, 1]], [0, 0, 1]), "cosine")


def test_distances_as_files(tmp_path):
    matrices = [class_distances(THREE, "euclidean"), class_distances(THREE, "cosine")]
    about = [THREE, embedded(THREE.vectors, THREE.labels, name="two")], matrices
    names = ((7, 8, 9), ("a", "b, c", "d$"))
    write_distances(tmp_path / "d.csv", *about, *names)
    with open(tmp_path / "d.csv", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["model", "label", "class", "known", "a", "b, c", "d$"]
    assert [row[:4] for row in rows[2:4]] == [["net", "9", "d$", "0"], ["two", "7", "a", "1"]]
    stored = np.array([row[4:] for row in rows], float).reshape(2, 3, 3)
    np.testing.assert_array_equal(stored, matrices)
    write_distances(tmp_path / "d.npz", *about, *names)
    content = np.load(tmp_path / "d.npz")
    np.testing.assert_array_equal(content["distances"], matrices)
    assert content["labels"].tolist() == ["7", "8", "9"] and content["models"].tolist()[1] == "two"
    assert content["known"].tolist() == [[True, True, False], [True] * 3]


def test_the_heat_map_has_the_order_of_the_taxonomy_and_marks_unknown_classes(tmp_path):
    arrangement = Arrangement((2, 0, 1), (("one", 1), ("others", 2)))
    matrix = class_distances(THREE, "euclidean")
    plot_distances(
        *(tmp_path / "h.svg", [THREE], [matrix], ["euclidean"], ("a_0", "b_1", "c$2"), arrangement)
    )
    svg = (tmp_path / "h.svg").read_text()
    places = [svg.index(f">{name}<") for name in ("c$2 *", "a_0", "b_1")]
    assert places == sorted(places)
    assert "euclidean distance of class means" in svg and "* not trained on" in svg


def test_two_features_are_drawn_as_they_are():
    targets = [[5, 0], [0, 5], [np.nan, np.nan]]
    plane = in_plane(embedded(THREE.vectors, THREE.labels, targets=targets), "tsne")
    np.testing.assert_array_equal(plane.samples, THREE.vectors)
    np.testing.assert_array_equal(plane.targets, targets)
    assert plane.axes == ("feature 1", "feature 2")


def test_more_features_in_their_principal_components():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(60, 5)) * [1, 9, 2, 30, 3]
    labels = np.arange(60) % 3
    targets = rng.normal(size=(3, 5))
    plane = in_plane(embedded(vectors, labels, targets=targets))
    _, _, axes = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)
    expected = (vectors - vectors.mean(axis=0)) @ axes[:2].T
    np.testing.assert_allclose(np.abs(plane.samples), np.abs(expected), atol=1e-4)
    centers = [plane.samples[labels == c].mean(axis=0) for c in range(3)]
    np.testing.assert_allclose(plane.means, centers, atol=1e-5)
    share = expected[:, 0].var() / vectors.var(axis=0).sum()
    assert plane.axes[0] == f"component 1 ({100 * share:.0f} % of variance)"


def test_tsne_keeps_groups_apart_and_depends_on_the_seed_only():
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    vectors = rng.normal(size=(40, 6)) + 20 * labels[:, np.newaxis]
    found = embedded(vectors, labels, targets=[[0] * 6, [np.nan] * 6])
    plane = in_plane(found, "tsne", perplexity=5, seed=3)
    distances = cdist(plane.samples, plane.samples) + np.diag(np.full(40, np.inf))
    assert (labels[distances.argmin(axis=1)] == labels).all()
    centers = [plane.samples[labels == c].mean(axis=0) for c in range(2)]
    assert np.linalg.norm(plane.means[0] - centers[0]) < np.linalg.norm(plane.means[0] - centers[1])
    assert np.isfinite(plane.targets).tolist() == [[True] * 2, [False] * 2]
    again = in_plane(found, "tsne", perplexity=5, seed=3)
    np.testing.assert_array_equal(plane.samples, again.samples)
    with pytest.raises(UsageError, match="43 needs more points than that, and there are 43: 40 s"):
        in_plane(found, "tsne", perplexity=43)


def test_one_feature_makes_no_plane():
    with pytest.raises(UserError, match="net has features of one dimension"):
        in_plane(embedded([[1], [2]], [0, 1]))


def test_classes_look_the_same_in_all_panels_and_unknown_ones_are_hollow():
    planes = [in_plane(THREE), in_plane(embedded(2 * THREE.vectors, THREE.labels))]
    known = [THREE.known, np.ones(3, bool)]
    figure = figure_of_features(planes, ["one", "$two"], THREE.labels, known, ("a", "b", "c"))
    first, second = (panel.collections[:3] for panel in figure.axes)
    for one, other in zip(first, second, strict=True):
        shapes = [points.get_paths()[0].vertices.tolist() for points in (one, other)]
        assert shapes[0] == shapes[1]
        assert one.get_edgecolors().tolist() == other.get_edgecolors().tolist() or one is first[2]
    assert [len(points.get_facecolors()) for points in first] == [1, 1, 0]
    assert [len(points.get_facecolors()) for points in second] == [1, 1, 1]
    np.testing.assert_array_equal(first[0].get_offsets(), [[2, 0], [0, 0]])
    assert figure.axes[1].get_title() == "$two"
    (legend,) = figure.legends
    assert [t.get_text() for t in legend.get_texts()] == ["a", "b", "c", "mean of a class"]


def test_as_many_classes_as_there_are_styles_look_different():
    labels = np.arange(STYLES)
    points = np.random.default_rng(0).normal(size=(STYLES, 2))
    plane = in_plane(embedded(points, labels))
    names = [str(i) for i in labels]
    figure = figure_of_features([plane], ["all"], labels, [np.ones(STYLES, bool)], names)
    looks = {
        (
            points.get_facecolors().tobytes(),
            points.get_paths()[0].vertices.tobytes(),
            points.get_transforms().tobytes(),  # triangles are one path, turned
        )
        for points in figure.axes[0].collections[:STYLES]
    }
    assert len(looks) == STYLES == 70
