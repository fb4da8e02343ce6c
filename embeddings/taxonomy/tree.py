"""Taxonomies of classes: trees (or acyclic graphs) and the similarities of their classes.

The similarities are those of Barz and Denzler, "Hierarchy-based Image Embeddings for Semantic
Image Retrieval", WACV 2019, https://arxiv.org/abs/1809.09924.
"""

from collections.abc import Iterable, Sequence
from graphlib import CycleError, TopologicalSorter

import numpy as np

from utils import UsageError, UserError, listing, repeated

Label = int | str

_MOST_CLASSES = 25_000  # their similarities take 5 GB; ImageNet has at most 21,841


class Taxonomy:
    """Directed acyclic graph; nodes with a label are possible classes.

    Nodes are numbered from 0 in the order given. There may be several roots, as long as only
    classes with a common ancestor are compared.

    Args:
        labels: unique label of each node; None for a node that is never a class.
        edges: pairs (parent, child) of node numbers; repetitions are dropped.
        names: name of each node for drawings and messages; its label by default.
        source: origin of the taxonomy, for messages.

    Attributes:
        children: node numbers of the children of each node, in the order of the edges.
        parents: node numbers of the parents of each node.
        roots: numbers of the nodes without parents.
        heights: int (nodes,), longest path down to a leaf, in edges.
        depths: int (nodes,), longest path up to a root, in edges.

    Raises:
        UserError: a label occurs twice, there is a cycle, or there are no edges.
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
        self.roots = tuple(i for i, parents in enumerate(self.parents) if not parents)
        if not any(self.children):
            raise UserError(f"{self.source} has no node below another one")
        self.heights = _paths(reversed(order), self.children)
        self.depths = _paths(order, self.parents)
        self._order = order

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def height(self) -> int:
        """Height of the highest root: the longest path down to a leaf, in edges."""
        return int(self.heights.max())

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
        if twice := repeated(wanted):
            raise UsageError(f"classes are listed more than once: {listing(twice)}")
        return [self._node[label] for label in wanted]

    def depth_first(self) -> list[int]:
        """Return all nodes in depth-first order, children in the order of the edges."""
        seen, stack = {}, list(reversed(self.roots))
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

        A class counts as an ancestor of itself. If nodes have several parents, the lowest ancestor
        is the deepest one, by the longest path from a root.

        Raises:
            UsageError: a label is unknown or occurs twice, or there are too many.
            UserError: two classes have no common ancestor.
        """
        if len(labels) > _MOST_CLASSES:
            raise UsageError(
                f"{self.source}: {len(labels):,} classes are too many to compare all of them, "
                f"more than {_MOST_CLASSES:,}"
            )
        nodes = self.nodes(labels)
        own = {node: i for i, node in enumerate(nodes)}
        found = np.full((len(own), len(own)), -1, np.int32)
        below: dict[int, np.ndarray] = {}  # positions in ``labels`` of a node and all below it
        # The first ancestor found is kept: nodes are visited by descending depth, then by
        # ascending height.
        for node in np.lexsort((-self.heights, self.depths))[::-1]:
            parts = [below[child] for child in self.children[node]]
            if node in own:
                found[own[node], own[node]] = node
                parts.append(np.array([own[node]]))
            below[node] = _join(parts, found, node)
            for child in self.children[node]:
                if len(self.parents[child]) == 1:
                    del below[child]
        if (found < 0).any():
            one, other = (self.names[nodes[i]] for i in np.argwhere(found < 0)[0])
            raise UserError(
                f"{self.source} has {len(self.roots)} roots, and {one!r} and {other!r} no common "
                "ancestor: they cannot be compared"
            )
        return found

    def similarities(self, labels: Sequence[Label]) -> np.ndarray:
        """Return similarities in [0, 1] of n classes, float64 (n, n), with ones on the diagonal.

        They are 1 - height(lowest common ancestor) / height(root), with heights in the whole
        taxonomy, regardless of ``labels`` (Barz and Denzler 2019, Equation 2). A class that is an
        inner node has the similarity 1 - its own height / height(root) to all classes below it, as
        if it were a further leaf below itself.

        Raises:
            UserError: see ``lowest_common_ancestors``.
        """
        values = (1 - self.heights / self.height)[self.lowest_common_ancestors(labels)]
        np.fill_diagonal(values, 1)
        return values

    def wup(self, labels: Sequence[Label]) -> np.ndarray:
        """Return similarities by Wu and Palmer (ACL 1994) of n classes, float64 (n, n).

        They are 2 depth(lowest common ancestor) / (depth(one) + depth(other)), in (0, 1]. A root
        has depth 1, and the ancestor that of its longest path. The depth of a class is the
        ancestor's plus the length of the shortest path between them, as in the published code.

        Raises:
            UserError: see ``lowest_common_ancestors``.
        """
        ancestors = self.lowest_common_ancestors(labels)
        distances = self._distances(self.nodes(labels))
        depths = 1 + self.depths[ancestors]
        below = np.take_along_axis(distances, ancestors.T, axis=0).T
        return 2 * depths / (2 * depths + below + below.T)

    def _distances(self, nodes: Sequence[int]) -> np.ndarray:
        """Return the lengths of shortest paths to all nodes, int (all, nodes).

        A path goes up and then down; where there is none, the number is large.
        """
        found = np.full((len(self), len(nodes)), len(self), np.int32)
        found[nodes, np.arange(len(nodes))] = 0
        for node in reversed(self._order):
            for parent in self.parents[node]:
                np.minimum(found[parent], found[node] + 1, out=found[parent])
        for node in self._order:
            for parent in self.parents[node]:
                np.minimum(found[node], found[parent] + 1, out=found[node])
        return found

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
        """Return the nodes in topological order, parents first."""
        try:
            return list(TopologicalSorter(dict(enumerate(self.parents))).static_order())
        except CycleError as error:
            cycle = _path([self.names[i] for i in error.args[1]])
            raise UserError(f"{self.source} has a cycle: {cycle}") from error


def _join(parts: list[np.ndarray], found: np.ndarray, node: int) -> np.ndarray:
    """Merge the positions of the classes below the children of a node, and set their ancestor.

    ``found`` has -1 where the ancestor of a pair is not known yet; it is changed in place. In a
    tree, every pair is visited once, at its ancestor, so the time is quadratic.
    """
    joined, *others = sorted(parts, key=len, reverse=True) or [np.empty(0, int)]
    for part in others:
        for position in part:
            unknown = joined[found[position, joined] < 0]
            found[position, unknown] = found[unknown, position] = node
        # Nodes with several parents are below several children.
        joined = np.concatenate([joined, [i for i in part if not (joined == i).any()]]).astype(int)
    return joined


def _paths(order: Iterable[int], next_nodes: Sequence[Sequence[int]]) -> np.ndarray:
    """Return the length of the longest path from each node along ``next_nodes``.

    The next nodes of a node come earlier in ``order``.
    """
    lengths = np.zeros(len(next_nodes), int)
    for node in order:
        lengths[node] = max((lengths[i] + 1 for i in next_nodes[node]), default=0)
    return lengths


def _path(names: list[str]) -> str:
    shown = names if len(names) <= 8 else [*names[:7], "…", names[-1]]
    return " → ".join(shown)
