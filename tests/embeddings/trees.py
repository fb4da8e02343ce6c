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


def distances(edges: list[tuple[int, int]], node: int) -> dict[int, int]:
    """Shortest ways up to the node itself and all above it."""
    found = {node: 0}
    for parent, child in edges:
        if child == node:
            for above, steps in distances(edges, parent).items():
                found[above] = min(steps + 1, found.get(above, steps + 1))
    return found


def shortest_path(edges: list[tuple[int, int]], one: int, other: int) -> int:
    """Shortest way up from both to a node that is above both."""
    up, also = distances(edges, one), distances(edges, other)
    return min(up[node] + also[node] for node in up.keys() & also.keys())


def lowest_common_ancestor(edges: list[tuple[int, int]], one: int, other: int) -> int:
    """The deepest node above both."""
    common = ancestors(edges, one) & ancestors(edges, other)
    return max(common, key=lambda node: (depth(edges, node), -height(edges, node), node))


def similarities(edges: list[tuple[int, int]], classes: list[int]) -> np.ndarray:
    """1 - height(lowest common ancestor) / height(root), one pair at a time."""
    values = np.ones((len(classes), len(classes)))
    root = height(edges, 0)
    for i, one in enumerate(classes):
        for j, other in enumerate(classes[:i]):
            lowest = height(edges, lowest_common_ancestor(edges, one, other))
            values[i, j] = values[j, i] = 1 - lowest / root
    return values


def wup(edges: list[tuple[int, int]], classes: list[int]) -> np.ndarray:
    """Wu and Palmer's similarity, one pair at a time."""
    values = np.empty((len(classes), len(classes)))
    for i, one in enumerate(classes):
        for j, other in enumerate(classes):
            lowest = lowest_common_ancestor(edges, one, other)
            depths = 1 + depth(edges, lowest)
            below = sum(shortest_path(edges, each, lowest) for each in (one, other))
            values[i, j] = 2 * depths / (2 * depths + below)
    return values
