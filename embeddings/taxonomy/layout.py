"""Layout of a tree of names in rows and columns, without overlaps.

Each leaf has a row, and each level is indented. Inner nodes are halfway between their first and
last child, so that any two names are a row apart or side by side. A tree with many leaves is split
into columns, which repeat the ancestors of the branches they continue.

Lengths are in points; y increases downward.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

from embeddings.taxonomy.tree import Taxonomy

_GAP = 4.0  # between a line and a name
_STUB = 8.0  # minimum length of a line
_LEAST_ROWS = 40  # per column, so that small trees are not split
_ASPECT = 1.5  # width / height of the drawing, about that of a screen
_MOST_COLUMNS = 12
_BETWEEN_COLUMNS = 24.0
_GROUP_FRACTION = 0.25  # maximum share of the leaves in a branch; larger ones are divided
_MOST_GROUPS = 64


class PlacedNode(NamedTuple):
    """A node in the drawing."""

    node: int  # number in the taxonomy
    text: str  # displayed name
    x: float  # left edge of the name
    y: float  # vertical center of the name
    lines: list[list[tuple[float, float]]]  # before and after the name, and along the children


class Layout(NamedTuple):
    """Positions of all nodes in a drawing."""

    placed: list[PlacedNode]  # ancestors occur once in each column that continues their branches
    width: float
    height: float


def layout_tree(
    taxonomy: Taxonomy,
    leaves: Sequence[int],
    names: Sequence[str],
    text_width: Callable[[str], float],
    row: float,
) -> Layout:
    """Lay out the paths of a tree from its root to some nodes, in a screen's aspect ratio.

    Args:
        taxonomy: a tree.
        leaves: lowest nodes to show, in depth-first order.
        names: name of each node of the taxonomy.
        text_width: function that returns the width of a text.
        row: height of a row.
    """
    most = max(1, min(_MOST_COLUMNS, len(leaves) // _LEAST_ROWS))
    layouts = [
        _layout(taxonomy, _columns(taxonomy, leaves, count), names, text_width, row)
        for count in range(1, most + 1)
    ]
    return min(layouts, key=lambda it: abs(math.log(it.width / it.height / _ASPECT)))


def _layout(taxonomy, columns, names, text_width, row) -> Layout:
    """Lay out the paths to the leaves of each column."""
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
    """Return the path from the root of a tree to ``node``, both included."""
    path = [node]
    while taxonomy.parents[path[-1]]:
        path.append(taxonomy.parents[path[-1]][0])
    return path[::-1]


def lowest_nodes(taxonomy: Taxonomy, nodes: Sequence[int]) -> list[int]:
    """Return the nodes that have none of the others below them, in depth-first order."""
    wanted = set(nodes)
    above = {a for node in wanted for a in path_to(taxonomy, node)[:-1]}
    return [node for node in taxonomy.depth_first() if node in wanted and node not in above]


def branches(taxonomy: Taxonomy, leaves: Sequence[int]) -> dict[int, int]:
    """Number the branches of a tree, and return the number of each node's branch.

    Branches begin below the root; those with many of the leaves are divided further. Nodes above
    the branches have no number.
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
    """Split the leaves into ``count`` columns."""
    cuts = [_cut(taxonomy, leaves, i, count) for i in range(count)]
    return [leaves[a:b] for a, b in pairwise([*cuts, len(leaves)])]


def _cut(taxonomy: Taxonomy, leaves: Sequence[int], column: int, columns: int) -> int:
    """Return the index of a column's first leaf: columns of similar length, unrelated leaves."""
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
    """Place the nodes of one column; also return its right edge."""
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
    """Return, for each depth, the x at which the lines after its inner nodes end."""
    ends: list[float] = []
    for depth in range(1 + max(taxonomy.depths[node] for node in texts)):
        widths = [text_width(texts[node]) for node in children if taxonomy.depths[node] == depth]
        start = ends[-1] + _STUB + _GAP if ends else left
        ends.append(start + max(widths, default=0) + _GAP + _STUB)
    return ends
