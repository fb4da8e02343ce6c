"""Layout of a tree with text: rows of leaves in columns, without overlaps.

One row per leaf, one indentation per level. Inner nodes are halfway between their first and last
child, so that any two texts are a row apart or side by side. A tree with many leaves is cut into
columns, which repeat the ancestors of the branches they continue.

Lengths are in points, y from the top down.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

from embeddings.taxonomy.tree import Taxonomy

_GAP = 4.0  # between a line and a text
_STUB = 8.0  # length of the shortest line
_LEAST_ROWS = 40  # of a column, so that small trees are not cut
_ASPECT = 1.5  # width / height of the picture, about that of a screen
_MOST_COLUMNS = 12
_BETWEEN_COLUMNS = 24.0
_GROUP_FRACTION = 0.25  # of the leaves: a branch with more is divided into its own branches
_MOST_GROUPS = 64


class PlacedNode(NamedTuple):
    """A node in the picture."""

    node: int  # its number in the taxonomy
    text: str  # its name
    x: float  # of the beginning of the text
    y: float  # of the middle of the text
    lines: list[list[tuple[float, float]]]  # before the text, behind it, and along its children


class Layout(NamedTuple):
    """Positions of all nodes in a picture."""

    placed: list[PlacedNode]  # the nodes; ancestors occur once in each column that continues them
    width: float  # of the picture
    height: float  # of the picture


def layout_tree(
    taxonomy: Taxonomy,
    leaves: Sequence[int],
    names: Sequence[str],
    text_width: Callable[[str], float],
    row: float,
) -> Layout:
    """Place the part of a tree that leads to some nodes, in about the aspect of a screen.

    Args:
        taxonomy: a tree.
        leaves: lowest nodes to show, depth first.
        names: text of each node of the taxonomy.
        text_width: function of a text that returns its width.
        row: distance of two rows.
    """
    most = max(1, min(_MOST_COLUMNS, len(leaves) // _LEAST_ROWS))
    layouts = [
        _layout(taxonomy, _columns(taxonomy, leaves, count), names, text_width, row)
        for count in range(1, most + 1)
    ]
    return min(layouts, key=lambda it: abs(math.log(it.width / it.height / _ASPECT)))


def _layout(taxonomy, columns, names, text_width, row) -> Layout:
    """Place the nodes that lead to the leaves in each column."""
    placed: list[PlacedNode] = []
    left, drawn = 0.0, set()
    for rows in columns:
        nodes = {node for leaf in rows for node in path_to(taxonomy, leaf)}
        texts = {node: f"… {names[node]}" if node in drawn else names[node] for node in nodes}
        column, right = _place(taxonomy, rows, texts, text_width, row, left)
        left = right + _BETWEEN_COLUMNS
        drawn |= nodes
        placed += column
    return Layout(placed, left - _BETWEEN_COLUMNS, row * max(map(len, columns)))


def path_to(taxonomy: Taxonomy, node: int) -> list[int]:
    """Return the nodes from the root of a tree to ``node``, both included."""
    path = [node]
    while taxonomy.parents[path[-1]]:
        path.append(taxonomy.parents[path[-1]][0])
    return path[::-1]


def lowest_nodes(taxonomy: Taxonomy, nodes: Sequence[int]) -> list[int]:
    """Return those of ``nodes`` that have none of the others below them, depth first."""
    wanted = set(nodes)
    above = {a for node in wanted for a in path_to(taxonomy, node)[:-1]}
    return [node for node in taxonomy.depth_first() if node in wanted and node not in above]


def branches(taxonomy: Taxonomy, leaves: Sequence[int]) -> dict[int, int]:
    """Number the branches of a tree, by the nodes in them.

    They are the branches below the root; one with many of the leaves is divided further. Nodes
    above them have no number.
    """
    paths = [path_to(taxonomy, leaf) for leaf in leaves]
    count = Counter(node for path in paths for node in path)
    tops = [*taxonomy.roots]
    while True:
        top = max(tops, key=lambda node: count[node])
        below = [child for child in taxonomy.children[top] if count[child]]
        too_many = len(tops) - 1 + len(below) > _MOST_GROUPS
        if not below or too_many or count[top] <= _GROUP_FRACTION * len(leaves):
            break
        place = tops.index(top)
        tops[place : place + 1] = below
    number = {top: i for i, top in enumerate(tops)}
    found: dict[int, int] = {}
    for path in paths:
        top = next(i for i, node in enumerate(path) if node in number)
        found.update(dict.fromkeys(path[top:], number[path[top]]))
    return found


def _columns(taxonomy: Taxonomy, leaves: Sequence[int], count: int) -> list[Sequence[int]]:
    """Return the leaves of each of ``count`` columns."""
    cuts = [_cut(taxonomy, leaves, i, count) for i in range(count)]
    return [leaves[a:b] for a, b in pairwise([*cuts, len(leaves)])]


def _cut(taxonomy: Taxonomy, leaves: Sequence[int], column: int, columns: int) -> int:
    """Return the first leaf of a column: near an equal share, between unrelated leaves."""
    if column == 0:
        return 0
    share = column * len(leaves) / columns
    reach = len(leaves) / columns / 8
    near = range(math.ceil(share - reach), math.floor(share + reach) + 1)

    def in_common(i: int) -> int:
        one, other = (set(path_to(taxonomy, leaves[j])) for j in (i - 1, i))
        return len(one & other)

    return min(near, key=lambda i: (in_common(i), abs(i - share)))


def _place(taxonomy, rows, texts, text_width, row, left) -> tuple[list[PlacedNode], float]:
    """Place one column, of these leaves, from its left edge on; return its right edge, too."""
    children: dict[int, list[int]] = {}
    for leaf in rows:
        for parent, child in pairwise(path_to(taxonomy, leaf)):
            known = children.setdefault(parent, [])
            if child not in known[-1:]:
                known.append(child)
    y = {leaf: (i + 0.5) * row for i, leaf in enumerate(rows)}
    order = [node for node in taxonomy.depth_first() if node in texts]
    for node in reversed(order):
        if node in children:
            y[node] = (y[children[node][0]] + y[children[node][-1]]) / 2
    level_end = _level_ends(taxonomy, children, texts, text_width, left)
    placed, right = [], left
    for node in order:
        depth, middle = taxonomy.depths[node], y[node]
        start = level_end[depth - 1] if depth else left
        x = start + (_STUB + _GAP if depth else 0)
        text_end = x + text_width(texts[node])
        lines = [[(start, middle), (x - _GAP, middle)]] if depth else []
        if below := children.get(node):
            end = level_end[depth]
            lines.append([(text_end + _GAP, middle), (end, middle)])
            lines.append([(end, y[below[0]]), (end, y[below[-1]])])
        placed.append(PlacedNode(node, texts[node], x, middle, lines))
        right = max(right, text_end)
    return placed, right


def _level_ends(taxonomy, children, texts, text_width, left) -> list[float]:
    """Return the x at which the lines of the inner nodes of each depth end."""
    ends: list[float] = []
    for depth in range(1 + max(taxonomy.depths[node] for node in texts)):
        widths = [text_width(texts[node]) for node in children if taxonomy.depths[node] == depth]
        start = ends[-1] + _STUB + _GAP if ends else left
        ends.append(start + max(widths, default=0) + _GAP + _STUB)
    return ends
