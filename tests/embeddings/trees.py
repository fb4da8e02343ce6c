"""Random trees, and what is expected of them by walking up from every class."""

import numpy as np


def random_edges(nodes: int, seed: int, parents: int = 1) -> list[tuple[int, int]]:
    """Pairs (parent, child) below node 0; a node has up to ``parents`` parents."""
    rng = np.random.default_rng(seed)
    return [
        (int(parent), child)
        for child in range(1, nodes)
        for parent in {*rng.integers(0, child, rng.integers(1, parents + 1)).tolist()}
    ]


def ancestors(edges: list[tuple[int, int]], node: int) -> set[int]:
    """The node and all above it."""
    found = {node}
    while True:
        more = found | {parent for parent, child in edges if child in found}
        if more == found:
            return found
        found = more


def height(edges: list[tuple[int, int]], node: int) -> int:
    """Longest way down to a leaf."""
    return max((1 + height(edges, child) for parent, child in edges if parent == node), default=0)


def depth(edges: list[tuple[int, int]], node: int) -> int:
    """Longest way up to the root."""
    return max((1 + depth(edges, parent) for parent, child in edges if child == node), default=0)


def similarities(edges: list[tuple[int, int]], classes: list[int]) -> np.ndarray:
    """1 - height(lowest common ancestor) / height(root), one pair at a time."""
    up = {node: ancestors(edges, node) for node in classes}
    heights = {node: height(edges, node) for node in set().union(*up.values())}
    values = np.ones((len(classes), len(classes)))
    for i, one in enumerate(classes):
        for j, other in enumerate(classes):
            if i != j:
                values[i, j] = 1 - min(heights[n] for n in up[one] & up[other]) / heights[0]
    return values
