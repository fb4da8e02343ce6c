"""The shipped taxonomies and embeddings, read and compared by independent code."""

import csv
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest

from embeddings import load_class_embeddings, read_taxonomy, shipped
from utils import UserError

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "embeddings"
SHARED = ROOT.parent / "shared"
TAXONOMIES = ["cifar100", "cub_deep", "cub_flat", "cub_wikispecies"]
NAMES = ["cifar100", "cub_deep", "cub_flat", "cub_wikispecies", "nab"]
TOLERANCE = 1e-12

needs_shared = pytest.mark.skipif(
    not (SHARED / "facts").is_dir(), reason="the tables of facts are not beside the project"
)


def ways_of_outline(name):
    """Label → the lines from the root to the class, by indentation."""
    ways, above = {}, []
    text = (FOLDER / "taxonomies" / f"{name}.txt").read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines()):
        if not line.startswith("#"):
            level = (len(line) - len(line.lstrip())) // 2
            above = [*above[:level], number]
            if "[" in line:
                ways[int(line[line.index("[") + 1 : line.index("]")])] = tuple(above)
    return ways


def ways_of_table(name):
    file, column = ("cifar100", "path") if name == "cifar100" else ("cub", name.split("_")[1])
    with open(SHARED / f"facts/{file}_taxonomy.csv", newline="", encoding="utf-8") as table:
        return {
            int(row["class_id"]): tuple(row[column].split("/")) for row in csv.DictReader(table)
        }


def ways_of_nabirds():
    lines = (SHARED / "data/nabirds/hierarchy.txt").read_text().splitlines()
    parent = dict(map(int, line.split()) for line in lines)

    def way(node):
        return (*way(parent[node]), node) if node in parent else (node,)

    return {node: way(node) for node in set(parent) - set(parent.values())}


def expected_similarities(ways):
    """Compute similarities from the ways alone: a common beginning leads to the ancestor."""
    heights = defaultdict(int)
    for way in ways.values():
        for i in range(1, len(way) + 1):
            heights[way[:i]] = max(heights[way[:i]], len(way) - i)
    classes = sorted(ways)
    values = np.ones((len(classes), len(classes)))
    for i, one in enumerate(classes):
        for j, other in enumerate(classes[:i]):
            pairs = zip(ways[one], ways[other], strict=False)
            common = next(k for k, (a, b) in enumerate(pairs) if a != b)
            values[i, j] = values[j, i] = 1 - heights[ways[one][:common]] / max(heights.values())
    return classes, values


def check(name, ways):
    classes, expected = expected_similarities(ways)
    with np.load(FOLDER / f"{name}.unitsphere.npz", allow_pickle=False) as file:
        vectors, labels = file["embedding"], file["ind2label"]
    assert labels.tolist() == classes and vectors.dtype == np.float64
    assert np.abs(np.einsum("ik,jk", vectors, vectors) - expected).max() <= TOLERANCE
    np.testing.assert_array_equal(vectors, np.tril(vectors))


@pytest.mark.parametrize("name", TAXONOMIES)
def test_embeddings_belong_to_the_taxonomies(name):
    check(name, ways_of_outline(name))


@needs_shared
@pytest.mark.parametrize("name", TAXONOMIES)
def test_embeddings_agree_with_the_tables(name):
    check(name, ways_of_table(name))


@needs_shared
def test_embedding_of_nabirds_agrees_with_its_own_taxonomy():
    check("nab", ways_of_nabirds())


@needs_shared
@pytest.mark.parametrize("name", TAXONOMIES)
def test_taxonomies_have_the_nodes_of_the_tables(name):
    """The same sets of classes below a node, with the number of nodes that have each."""

    def nodes_by_classes(ways):
        below = defaultdict(set)
        for label, way in ways.items():
            for i in range(1, len(way) + 1):
                below[way[:i]].add(label)
        return Counter(map(frozenset, below.values()))

    assert nodes_by_classes(ways_of_outline(name)) == nodes_by_classes(ways_of_table(name))


@pytest.mark.parametrize(
    ("name", "classes", "depths"),
    [
        ("cifar100", range(100), {2: 5, 3: 17, 4: 14, 5: 21, 6: 21, 7: 17, 8: 5}),
        # The paper, Table 3: 4, 4-6 and 7 levels; four classes are genera and end one earlier.
        ("cub_flat", range(1, 201), {4: 196, 3: 4}),
        ("cub_wikispecies", range(1, 201), {6: 138, 5: 25, 4: 35, 3: 2}),
        ("cub_deep", range(1, 201), {7: 196, 6: 4}),
    ],
)
def test_classes_and_depths(name, classes, depths):
    taxonomy = read_taxonomy(name)
    assert taxonomy.leaf_labels == tuple(classes) and not taxonomy.with_several_parents()
    assert Counter(taxonomy.depths[taxonomy.nodes(classes)].tolist()) == depths


@pytest.mark.parametrize("name", NAMES)
def test_names_stand_for_files(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert shipped.embedding_names() == NAMES
    by_path = load_class_embeddings(FOLDER / f"{name}.unitsphere.npz")
    assert len(by_path.labels) == {"cifar100": 100, "nab": 555}.get(name, 200)
    for spelling in (name, f"{name}.unitsphere", f"{name}.unitsphere.npz"):
        np.testing.assert_array_equal(load_class_embeddings(spelling).vectors, by_path.vectors)


@pytest.mark.parametrize("spelling", ["nab.npz", "nab.unitsphere.npz"])
def test_a_file_of_the_same_name_is_taken_by_its_whole_name(spelling, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez(spelling, embedding=np.eye(3, dtype=np.float32), ind2label=np.arange(3))
    assert len(load_class_embeddings(spelling).labels) == 3
    assert len(load_class_embeddings("nab").labels) == 555


def test_an_impossible_file_name_gives_a_one_line_error():
    with pytest.raises(UserError, match="File name too long"):
        load_class_embeddings(f"{'x' * 300}.npz")


def test_an_unknown_name_lists_the_shipped_ones():
    expected = "no file of class embeddings cub_shallow, .* cifar100, cub_deep, .*, nab"
    with pytest.raises(UserError, match=expected):
        load_class_embeddings("cub_shallow")
