"""Pictures of taxonomies: contents, legibility, colors of branches."""

import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb

from embeddings import Taxonomy, read_taxonomy
from embeddings.taxonomy.drawing import draw
from embeddings.taxonomy.layout import branches
from storage.plots import save_plot
from tests.embeddings import trees
from utils import UserError


def boxes(figure):
    """Text and rectangle of everything written, as the renderer has them, in pixels."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    return [(t.get_text(), t.get_window_extent(renderer).extents) for t in figure.axes[0].texts]


def assert_legible(figure):
    """No two texts overlap, and none leaves the picture."""
    found = [box for _, box in boxes(figure)]
    x0, y0, x1, y1 = np.array(found).T
    assert min(x0.min(), y0.min()) >= 0
    assert x1.max() <= figure.bbox.width and y1.max() <= figure.bbox.height
    for i in range(len(found)):
        apart = (x1 < x0[i]) | (x1[i] < x0) | (y1 < y0[i] + 1) | (y1[i] < y0 + 1)
        assert list(np.flatnonzero(~apart)) == [i]


@pytest.mark.parametrize("name", ["cifar100", "cub_deep"])
def test_shipped_taxonomies_are_legible(name):
    taxonomy = read_taxonomy(name)
    figure = draw(taxonomy, taxonomy.leaf_labels, title=name)
    assert_legible(figure)
    written = {text.removeprefix("… ") for text, _ in boxes(figure)}
    heading = f"{name}: {len(taxonomy.leaf_labels)} classes, height {taxonomy.height}"
    assert written == {*taxonomy.names, heading}
    width, height = figure.get_size_inches()
    assert 1 < width / height < 2.5


@pytest.mark.parametrize("nodes", [4, 60, 400])
def test_random_trees_are_legible(nodes):
    names = [f"node {i} " + "x" * (i % 17) for i in range(nodes)]
    taxonomy = Taxonomy(range(nodes), trees.random_edges(nodes, nodes), names)
    figure = draw(taxonomy, taxonomy.leaf_labels)
    assert_legible(figure)
    assert {text.removeprefix("… ") for text, _ in boxes(figure)} >= set(names)


def test_only_classes_and_their_ancestors_are_drawn():
    taxonomy = Taxonomy("abcdef", [(0, 1), (0, 2), (1, 3), (1, 4), (2, 5)], names=list("ABCDEF"))
    assert [text for text, _ in boxes(draw(taxonomy, "d"))][1:] == ["A", "B", "D"]
    # A class with other classes below it is on their way, and does not end a line.
    assert [text for text, _ in boxes(draw(taxonomy, "bdc"))][1:] == ["A", "B", "D", "C"]


def test_lines_lead_from_parents_to_children():
    taxonomy = Taxonomy("abcd", [(0, 1), (0, 2), (2, 3)])
    axes = draw(taxonomy, "bd").axes[0]
    place = {t.get_text(): t.get_position() for t in axes.texts}
    assert place["a"][1] == (place["b"][1] + place["c"][1]) / 2
    assert place["c"][1] == place["d"][1] > place["b"][1]
    assert place["a"][0] < place["b"][0] == place["c"][0] < place["d"][0]
    vertical = [s for s in axes.collections[0].get_segments() if s[0][0] == s[1][0]]
    spans = [sorted(segment[:, 1].tolist()) for segment in vertical]
    assert spans == [[place["b"][1], place["c"][1]], [place["d"][1]] * 2]


def test_branches_have_colors_of_their_own():
    taxonomy = read_taxonomy("cub_deep")
    leaves = taxonomy.nodes(taxonomy.leaf_labels)
    group = branches(taxonomy, leaves)
    by_group = {g: {n for n in leaves if group[n] == g} for g in set(group.values())}
    assert sum(map(len, by_group.values())) == 200
    # The branch of half of all classes is divided, and no group is too large to help.
    assert max(map(len, by_group.values())) <= 50
    figure = draw(taxonomy, taxonomy.leaf_labels)
    colors = {t.get_text(): to_rgb(t.get_color()) for t in figure.axes[0].texts}
    of_group = {g: {colors[taxonomy.names[n]] for n in nodes} for g, nodes in by_group.items()}
    assert all(len(found) == 1 for found in of_group.values())
    for one, other in itertools.pairwise(sorted(of_group)):
        assert np.abs(np.subtract(*of_group[one], *of_group[other])).max() > 0.2


def test_colors_are_dark_enough_to_read():
    figure = draw(Taxonomy(range(41), [(0, i) for i in range(1, 41)]), range(1, 41))
    shades = np.array([to_rgb(t.get_color()) for t in figure.axes[0].texts])
    linear = np.where(shades <= 0.04045, shades / 12.92, ((shades + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    assert (1.05 / (luminance + 0.05)).min() >= 4.5  # against white; WCAG 2, level AA


def test_custom_names_replace_those_of_the_taxonomy():
    figure = draw(Taxonomy([1, 2, 3], [(1, 0), (1, 2)]), [1, 3], {"3": "$three", "2": "root"})
    assert [text for text, _ in boxes(figure)][1:] == ["root", "1", "$three"]


def test_a_graph_that_is_no_tree_is_refused():
    graph = Taxonomy("abcd", [(0, 1), (0, 2), (1, 3), (2, 3)], source="g.txt")
    with pytest.raises(UserError, match=r"g\.txt is not a tree .*: d \(several parents\)"):
        draw(graph, "d")
    with pytest.raises(UserError, match="not a tree and cannot be drawn: it has 2 roots"):
        draw(Taxonomy("abcd", [(0, 1), (2, 3)]), "bd")


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_the_same_tree_gives_the_same_file(tmp_path, suffix):
    for name in ("one", "two"):
        save_plot(draw(Taxonomy("abc", [(0, 1), (0, 2)]), "bc"), tmp_path / f"{name}{suffix}")
    one, two = ((tmp_path / f"{name}{suffix}").read_bytes() for name in ("one", "two"))
    assert one == two and len(one) > 500
