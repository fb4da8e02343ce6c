"""Taxonomies of classes: trees (or acyclic graphs) and the similarities of their classes.

The similarities are those of Barz and Denzler, "Hierarchy-based Image Embeddings for Semantic
Image Retrieval", WACV 2019, https://arxiv.org/abs/1809.09924.
"""

from collections.abc import Iterable, Sequence
from graphlib import CycleError, TopologicalSorter

import numpy as np

from utils import UsageError, UserError, listing

Label = int | str

_MOST_CLASSES = 25_000  # whose similarities have 5 GB; ImageNet has 21,841 at most


class Taxonomy:
    """Directed acyclic graph with one root; nodes with a label are possible classes.

    Nodes are numbered from 0 in the order given. Where nodes have several parents, the lowest
    common ancestor is the one of least height, and a depth is the longest path from the root.

    Args:
        labels: unique label of each node; None for a node that is never a class.
        edges: pairs (parent, child) of node numbers; repetitions are dropped.
        names: name of each node for pictures and messages; its label by default.
        source: where the taxonomy came from, for messages.

    Attributes:
        labels: as given.
        names: name of each node.
        children: node numbers of the children of each node, in the order of the edges.
        parents: node numbers of the parents of each node.
        root: number of the node without parents.
        heights: int (nodes,), longest path down to a leaf, in edges.
        depths: int (nodes,), longest path up to the root, in edges.

    Raises:
        UserError: a label occurs twice, there is a cycle, not exactly one root, or no edge.
    """

    def __init__(
        self,
        labels: Sequence[Label | None],
        edges: Iterable[tuple[int, int]],
        names: Sequence[str] | None = None,
        source: str = "the taxonomy",
    ):
        self.labels = tuple(labels)
        self.names = tuple(names or map(str, labels))
        self.source = source
        self._node = self._numbered()
        self.children, self.parents = self._linked(dict.fromkeys(edges))
        order = self._sorted()
        self.root = self._find_root()
        self.heights = _longest(reversed(order), self.children)
        self.depths = _longest(order, self.parents)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def height(self) -> int:
        """Height of the root: the longest path down to a leaf, in edges."""
        return int(self.heights[self.root])

    @property
    def leaf_labels(self) -> tuple[Label, ...]:
        """Labels of the nodes without children, in ascending order."""
        return tuple(sorted(self.labels[i] for i in np.flatnonzero(self.heights == 0)))

    def with_several_parents(self) -> list[str]:
        """Return the names of the nodes that have more than one parent."""
        return [self.names[i] for i, parents in enumerate(self.parents) if len(parents) > 1]

    def nodes(self, labels: Sequence[Label]) -> list[int]:
        """Return the numbers of the nodes with these labels, which are compared as text.

        Raises:
            UsageError: a label is unknown or occurs twice.
        """
        wanted = [str(label) for label in labels]
        unknown = [label for label in wanted if label not in self._node]
        if unknown:
            raise UsageError(
                f"{self.source} has no class {listing(unknown)}; it has {listing(list(self._node))}"
            )
        if len(set(wanted)) < len(wanted):
            twice = [label for i, label in enumerate(wanted) if label in wanted[:i]]
            raise UsageError(f"classes are listed more than once: {listing(twice)}")
        return [self._node[label] for label in wanted]

    def depth_first(self) -> list[int]:
        """Return all nodes in depth-first order, children in their order."""
        seen, stack = {}, [self.root]
        while stack:
            node = stack.pop()
            if node not in seen:
                seen[node] = None
                stack.extend(reversed(self.children[node]))
        return list(seen)

    def arrange(self, labels: Sequence[Label]) -> list[int]:
        """Return positions in ``labels`` that put related classes side by side."""
        rank = {node: i for i, node in enumerate(self.depth_first())}
        nodes = self.nodes(labels)
        return sorted(range(len(nodes)), key=lambda i: rank[nodes[i]])

    def lowest_common_ancestors(self, labels: Sequence[Label]) -> np.ndarray:
        """Return the node numbers of the lowest common ancestors of n classes, int (n, n).

        A class counts as an ancestor of itself.

        Raises:
            UsageError: a label is unknown or occurs twice, or there are far too many.
        """
        if len(labels) > _MOST_CLASSES:
            raise UsageError(
                f"{self.source}: {len(labels):,} classes are too many to compare all of them, "
                f"more than {_MOST_CLASSES:,}"
            )
        nodes = self.nodes(labels)
        below = self._positions_below(nodes)
        found = np.full((len(nodes), len(nodes)), self.root)
        # A lower node replaces the higher ones; of several of the same height, the deepest wins.
        for node in np.lexsort((self.depths, -self.heights)):
            found[np.ix_(below[node], below[node])] = node
        return found

    def similarities(self, labels: Sequence[Label]) -> np.ndarray:
        """Return similarities in [0, 1] of n classes, float64 (n, n), with ones on the diagonal.

        1 - height(lowest common ancestor) / height(root), with heights in the whole taxonomy,
        whichever classes are asked for (Barz and Denzler 2019, Equation 2). An inner node that is
        a class has 1 - its own height / height(root) with all classes below it, as if it had a
        leaf of its own for what none of its children is.

        Raises:
            UsageError: a label is unknown or occurs twice.
        """
        ancestors = self.lowest_common_ancestors(labels)
        values = 1 - self.heights[ancestors] / self.height
        np.fill_diagonal(values, 1)
        return values

    def wup(self, labels: Sequence[Label]) -> np.ndarray:
        """Return similarities by Wu and Palmer (ACL 1994) in (0, 1] of n classes, float64 (n, n).

        2 depth(lowest common ancestor) / (depth(one) + depth(other)), the root having depth 1.

        Raises:
            UsageError: a label is unknown or occurs twice.
        """
        depths = 1 + self.depths
        own = depths[self.nodes(labels)]
        return 2 * depths[self.lowest_common_ancestors(labels)] / (own[:, None] + own)

    def _numbered(self) -> dict[str, int]:
        numbers: dict[str, int] = {}
        for i, label in enumerate(self.labels):
            if label is not None and numbers.setdefault(str(label), i) != i:
                raise UserError(f"{self.source}: the class {str(label)!r} occurs twice")
        return numbers

    def _linked(self, edges: Iterable[tuple[int, int]]) -> tuple[list, list]:
        """Return children and parents of each node."""
        children, parents = ([[] for _ in self.labels] for _ in range(2))
        for parent, child in edges:
            children[parent].append(child)
            parents[child].append(parent)
        return children, parents

    def _sorted(self) -> list[int]:
        """Return the nodes, parents before children."""
        try:
            return list(TopologicalSorter(dict(enumerate(self.parents))).static_order())
        except CycleError as error:
            cycle = _path([self.names[i] for i in error.args[1]])
            raise UserError(f"{self.source} has a cycle: {cycle}") from error

    def _find_root(self) -> int:
        roots = [i for i, parents in enumerate(self.parents) if not parents]
        if len(roots) != 1:
            names = listing([self.names[i] for i in roots])
            raise UserError(f"{self.source} has {len(roots)} roots instead of one: {names}")
        if not self.children[roots[0]]:
            raise UserError(f"{self.source} has nothing below its root {self.names[roots[0]]!r}")
        return roots[0]

    def _positions_below(self, nodes: Sequence[int]) -> list[np.ndarray]:
        """Return, for each node of the taxonomy, the positions in ``nodes`` at or below it."""
        own = {node: i for i, node in enumerate(nodes)}
        below: list[np.ndarray] = [np.empty(0, int)] * len(self)
        for node in np.argsort(self.heights, kind="stable"):
            parts = [below[child] for child in self.children[node]]
            parts.append(np.array([own[node]] if node in own else [], int))
            parts = [part for part in parts if len(part)]
            # Nodes on a path without forks share one array.
            if parts:
                below[node] = parts[0] if len(parts) == 1 else np.unique(np.concatenate(parts))
        return below


def _longest(order: Iterable[int], next_nodes: Sequence[Sequence[int]]) -> np.ndarray:
    """Return the longest path from each node by ``next_nodes``, which come earlier in ``order``."""
    lengths = np.zeros(len(next_nodes), int)
    for node in order:
        lengths[node] = max((lengths[i] + 1 for i in next_nodes[node]), default=0)
    return lengths


def _path(names: list[str], most: int = 8) -> str:
    shown = names if len(names) <= most else [*names[: most - 1], "…", names[-1]]
    return " → ".join(shown)
