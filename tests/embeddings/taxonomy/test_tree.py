"""Taxonomies: heights, ancestors and similarities against walks by brute force; faulty graphs."""

import itertools
import time

import numpy as np
import pytest

from embeddings.taxonomy.tree import Taxonomy
from tests.embeddings import trees
from utils import UsageError, UserError

#        a
#      /   \
#     b     c
#    / \     \
#   d   e     f
#      / \
#     g   h
EDGES = [(0, 1), (0, 2), (1, 3), (1, 4), (2, 5), (4, 6), (4, 7)]
TREE = Taxonomy(list("abcdefgh"), EDGES)


def test_a_tree_by_hand():
    assert TREE.height == 3 and TREE.roots == (0,) and not TREE.with_several_parents()
    assert TREE.heights.tolist() == [3, 2, 1, 0, 1, 0, 0, 0]
    assert TREE.depths.tolist() == [0, 1, 1, 2, 2, 2, 3, 3]
    assert TREE.leaf_labels == ("d", "f", "g", "h")
    assert [TREE.names[i] for i in TREE.depth_first()] == list("abdeghcf")
    similar = TREE.similarities(["h", "d", "g", "f"])
    expected = [[1, 1 / 3, 2 / 3, 0], [1 / 3, 1, 1 / 3, 0], [2 / 3, 1 / 3, 1, 0], [0, 0, 0, 1]]
    np.testing.assert_allclose(similar, expected, rtol=0, atol=1e-15)
    # Depths from 1: d and f 3, g and h 4, e 3, b 2, a 1.
    expected = [[1, 4 / 7, 6 / 8, 2 / 7], [4 / 7, 1, 4 / 7, 2 / 6], [6 / 8, 4 / 7, 1, 2 / 7]]
    np.testing.assert_allclose(TREE.wup(["h", "d", "g", "f"])[:3], expected, rtol=0, atol=1e-15)


def test_inner_nodes_as_classes():
    similar = TREE.similarities(["b", "e", "g", "c"])
    # b is the lowest common ancestor of itself and of e and g, at height 2; e at height 1.
    expected = [[1, 1 / 3, 1 / 3, 0], [1 / 3, 1, 2 / 3, 0], [1 / 3, 2 / 3, 1, 0], [0, 0, 0, 1]]
    np.testing.assert_allclose(similar, expected, rtol=0, atol=1e-15)
    np.testing.assert_allclose(TREE.wup(["b", "g"]), [[1, 4 / 6], [4 / 6, 1]])


@pytest.mark.parametrize("parents", [1, 3])
@pytest.mark.parametrize("seed", range(3))
def test_random_graphs(seed, parents):
    edges = trees.random_edges(40, seed, parents)
    graph = Taxonomy(range(40), edges)
    assert graph.heights.tolist() == [trees.height(edges, node) for node in range(40)]
    assert graph.depths.tolist() == [trees.depth(edges, node) for node in range(40)]
    assert (graph.with_several_parents() == []) == (parents == 1)
    classes = np.random.default_rng(seed).permutation(40)[:25].tolist()
    expected = trees.similarities(edges, classes)
    np.testing.assert_allclose(graph.similarities(classes), expected, rtol=0, atol=1e-15)
    few = classes[:8]
    np.testing.assert_allclose(graph.wup(few), trees.wup(edges, few), rtol=0, atol=1e-15)


def test_wup_of_a_random_tree():
    edges = trees.random_edges(30, 5)
    expected = np.empty((30, 30))
    for one, other in itertools.product(range(30), repeat=2):
        up, also = trees.ancestors(edges, one), trees.ancestors(edges, other)
        common = len(up & also)  # in a tree, the ancestors of a node number its depth from 1
        expected[one, other] = 2 * common / (len(up) + len(also))
    np.testing.assert_allclose(Taxonomy(range(30), edges).wup(range(30)), expected, atol=1e-15)


def test_the_deepest_common_ancestor_counts_even_if_another_one_is_lower():
    # 5 and 6 have the parents 1 and 4; 1 is below the root and of height 1, 4 at depth 3 of
    # height 2, because of 7 and 8. The root has the height 5.
    edges = [(0, 1), (0, 2), (2, 3), (3, 4), (1, 5), (1, 6), (4, 5), (4, 6), (4, 7), (7, 8)]
    graph = Taxonomy(range(9), edges)
    assert graph.lowest_common_ancestors([5, 6])[0, 1] == 4
    assert graph.similarities([5, 6])[0, 1] == 1 - 2 / 5
    # 5 and 6 are one step below 4, although the root is only two steps above them, by 1.
    assert graph.wup([5, 6])[0, 1] == 2 * 4 / (5 + 5)


def test_a_class_may_be_nearer_to_the_ancestor_by_a_way_over_the_root():
    # 4 lies below 3, four steps below 1, and directly below the root.
    graph = Taxonomy(range(8), [(0, 1), (1, 2), (2, 3), (3, 6), (6, 4), (0, 4), (1, 5), (5, 7)])
    assert graph.lowest_common_ancestors([4, 5])[0, 1] == 1
    assert graph.wup([4, 5])[0, 1] == 2 * 2 / (2 + 2 + 2 + 1)


def test_several_roots():
    graph = Taxonomy(list("abcdef"), [(0, 1), (0, 2), (3, 4), (4, 5)])
    assert graph.roots == (0, 3) and graph.height == 2
    assert [graph.names[i] for i in graph.depth_first()] == list("abcdef")
    # The similarity refers to the highest root, 'd'.
    assert graph.similarities("bc").tolist() == [[1, 0.5], [0.5, 1]]
    assert graph.wup("bc")[0, 1] == 2 * 1 / (2 + 2)
    for similarity in (graph.similarities, graph.wup):
        with pytest.raises(UserError, match="2 roots, and 'b' and 'f' no common ancestor"):
            similarity("bcf")


def test_similarities_of_some_classes_refer_to_the_whole_tree():
    whole = TREE.similarities(["d", "f", "g", "h"])
    np.testing.assert_array_equal(TREE.similarities(["h", "d"]), whole[np.ix_([3, 0], [3, 0])])


def test_related_classes_are_arranged_side_by_side():
    labels = ["h", "f", "d", "g"]
    assert [labels[i] for i in TREE.arrange(labels)] == ["d", "g", "h", "f"]


def test_numbers_are_sorted_as_numbers_and_found_by_text():
    tree = Taxonomy([100, 10, 9], [(0, 1), (0, 2)])
    assert tree.leaf_labels == (9, 10)
    assert tree.nodes(["9", 10]) == [2, 1]


def test_repeated_edges_count_once():
    assert not Taxonomy("abc", [(0, 1), (0, 2), (0, 1)]).with_several_parents()


def test_several_parents_are_named():
    assert Taxonomy("abcd", [(0, 1), (0, 2), (1, 3), (2, 3)]).with_several_parents() == ["d"]


@pytest.mark.parametrize(
    ("labels", "edges", "fault"),
    [
        ("abcd", [(0, 1), (1, 2), (2, 3), (3, 1)], "birds has a cycle: .*→"),
        ("ab", [(0, 1), (1, 1)], "birds has a cycle: b → b"),
        ("aba", [(0, 1), (1, 2)], "birds: the class 'a' occurs twice"),
        ("a", [], "birds has no node below another one"),
        ("", [], "birds has no node below another one"),
    ],
)
def test_faulty_graphs_are_refused(labels, edges, fault):
    with pytest.raises(UserError, match=fault):
        Taxonomy(labels, edges, source="birds")


def test_a_cycle_is_reported_from_parents_to_children():
    with pytest.raises(UserError) as caught:
        Taxonomy("abcd", [(0, 1), (1, 2), (2, 3), (3, 1)])
    shown = str(caught.value).split(": ")[1].split(" → ")
    assert shown[0] == shown[-1]
    assert all(pair in ["bc", "cd", "db"] for pair in map("".join, itertools.pairwise(shown)))


def test_a_long_cycle_stays_short():
    edges = [(i, (i + 1) % 500) for i in range(500)]
    with pytest.raises(UserError) as caught:
        Taxonomy(range(500), edges)
    assert len(str(caught.value)) < 100 and "…" in str(caught.value)


@pytest.mark.parametrize(
    ("classes", "fault"),
    [("ax", "has no class x; it has a, b, c"), ("aba", "more than once: a$")],
)
def test_faulty_classes_are_refused(classes, fault):
    with pytest.raises(UsageError, match=fault):
        TREE.similarities(list(classes))


def test_two_thousand_classes_of_a_random_tree():
    edges = trees.random_edges(5000, 0)
    tree = Taxonomy(range(5000), edges)
    similar = tree.similarities(tree.leaf_labels[:2000])
    up = [trees.ancestors(edges, node) for node in tree.leaf_labels[:4]]
    for i, j in itertools.combinations(range(4), 2):
        lowest = min(tree.heights[node] for node in up[i] & up[j])
        assert similar[i, j] == 1 - lowest / tree.height


def test_a_path_of_classes_takes_quadratic_time():
    """A caterpillar, the worst tree: the classes below a node number as many as the nodes."""
    n = 2000
    edges = [edge for i in range(n) for edge in ((i, i + 1), (i, n + 1 + i))]
    taxonomy = Taxonomy(range(2 * n + 1), edges)
    legs = [n + 1 + i for i in range(n)]
    started = time.process_time()
    found = taxonomy.lowest_common_ancestors(legs)
    assert time.process_time() - started < 5
    expected = np.minimum.outer(np.arange(n), np.arange(n))  # legs meet where the upper one is
    np.fill_diagonal(expected, legs)
    np.testing.assert_array_equal(found, expected)
