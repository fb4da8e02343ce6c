"""Where the nodes of a tree go in a picture: rows of leaves in columns, without overlapping text.

One row per leaf, one indentation per level. All texts stand on the height of their node, inner
nodes between their children, so that any two texts are a row apart or side by side. A tree with
many leaves is cut into columns, which repeat the ancestors of what they go on with.

Lengths are in points, y from the top down.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from embeddings.taxonomy.tree import Taxonomy

GAP = 4.0
"""Between a line and the text that it leads to or comes from."""

_STUB = 8.0  # shortest piece of line
_LEAST_ROWS = 40  # of a column, so that small trees are not cut
_WIDTH_TO_HEIGHT = 1.5  # of the picture, about that of a screen
_MOST_COLUMNS = 12
_BETWEEN_COLUMNS = 24.0
_GROUP_SHARE = 0.25  # of the leaves: a branch with more is divided into its own branches
_MOST_GROUPS = 64


@dataclass(frozen=True)
class Placed:
    """A node in the picture.

    Attributes:
        node: its number in the taxonomy.
        text: what is written.
        y: height of its line and middle of its text.
        start: where its line begins, at the line of its parent.
        text_x: where the text begins.
        text_end: where it ends.
        end: where the line behind the text ends and the children begin; ``text_end`` of a leaf.
        children_y: first and last height of its children; None for a leaf.
    """

    node: int
    text: str
    y: float
    start: float
    text_x: float
    text_end: float
    end: float
    children_y: tuple[float, float] | None


@dataclass(frozen=True)
class Layout:
    """A whole picture.

    Attributes:
        placed: the nodes; the ancestors of what a column goes on with occur in each.
        width: of the picture.
        height: of the picture.
    """

    placed: list[Placed]
    width: float
    height: float


def arrange(
    taxonomy: Taxonomy,
    leaves: Sequence[int],
    names: Sequence[str],
    text_width: Callable[[str], float],
    row: float,
) -> Layout:
    """Places the part of a tree that leads to some nodes, in a picture of the form of a screen.

    Args:
        taxonomy: a tree.
        leaves: nodes that end a line, in the order of a picture.
        names: text of each node of the taxonomy.
        text_width: width of a text.
        row: distance of two rows.
    """
    most = max(1, min(_MOST_COLUMNS, len(leaves) // _LEAST_ROWS))
    layouts = [
        _arrange(taxonomy, _columns(taxonomy, leaves, count), names, text_width, row)
        for count in range(1, most + 1)
    ]
    return min(layouts, key=lambda it: abs(math.log(it.width / it.height / _WIDTH_TO_HEIGHT)))


def _arrange(taxonomy, columns, names, text_width, row) -> Layout:
    """The picture with these leaves in each column."""
    placed: list[Placed] = []
    left, drawn = 0.0, set()
    for rows in columns:
        nodes = {node for leaf in rows for node in way_to(taxonomy, leaf)}
        texts = {node: f"… {names[node]}" if node in drawn else names[node] for node in nodes}
        column = _place(taxonomy, rows, texts, text_width, row, left)
        left = max(item.text_end for item in column) + _BETWEEN_COLUMNS
        drawn |= nodes
        placed += column
    return Layout(placed, left - _BETWEEN_COLUMNS, row * max(map(len, columns)))


def way_to(taxonomy: Taxonomy, node: int) -> list[int]:
    """The nodes from the root of a tree to ``node``, both included."""
    way = [node]
    while taxonomy.parents[way[-1]]:
        way.append(taxonomy.parents[way[-1]][0])
    return way[::-1]


def ends(taxonomy: Taxonomy, nodes: Sequence[int]) -> list[int]:
    """Those of ``nodes`` that have none of the others below them, in the order of a picture."""
    wanted = set(nodes)
    above = {a for node in wanted for a in way_to(taxonomy, node)[:-1]}
    return [node for node in taxonomy.depth_first() if node in wanted and node not in above]


def groups(taxonomy: Taxonomy, leaves: Sequence[int]) -> dict[int, int]:
    """The number of a group for each node below the tops of the groups.

    Groups are the branches of the root; one with many of the leaves is divided further. Nodes
    above them have no group.
    """
    ways = [way_to(taxonomy, leaf) for leaf in leaves]
    count = Counter(node for way in ways for node in way)
    tops = [taxonomy.root]
    while True:
        top = max(tops, key=lambda node: count[node])
        below = [child for child in taxonomy.children[top] if count[child]]
        too_many = len(tops) - 1 + len(below) > _MOST_GROUPS
        if not below or too_many or (count[top] <= _GROUP_SHARE * len(leaves)):
            break
        place = tops.index(top)
        tops[place : place + 1] = below
    number = {top: i for i, top in enumerate(tops)}
    found: dict[int, int] = {}
    for way in ways:
        top = next(i for i, node in enumerate(way) if node in number)
        found.update(dict.fromkeys(way[top:], number[way[top]]))
    return found


def _columns(taxonomy: Taxonomy, leaves: Sequence[int], count: int) -> list[Sequence[int]]:
    """The leaves of each of ``count`` columns."""
    cuts = [_cut(taxonomy, leaves, i, count) for i in range(count)]
    return [leaves[a:b] for a, b in pairwise([*cuts, len(leaves)])]


def _cut(taxonomy: Taxonomy, leaves: Sequence[int], column: int, columns: int) -> int:
    """Where a column begins: near its share, between leaves that have little in common."""
    if column == 0:
        return 0
    share = column * len(leaves) / columns
    reach = len(leaves) / columns / 8
    near = range(math.ceil(share - reach), math.floor(share + reach) + 1)

    def in_common(i: int) -> int:
        one, other = (set(way_to(taxonomy, leaves[j])) for j in (i - 1, i))
        return len(one & other)

    return min(near, key=lambda i: (in_common(i), abs(i - share)))


def _place(taxonomy, rows, texts, text_width, row, left) -> list[Placed]:
    """One column, of these leaves, whose left edge is at ``left``; parents before children."""
    children: dict[int, list[int]] = {}
    for leaf in rows:
        way = way_to(taxonomy, leaf)
        for parent, child in pairwise(way):
            known = children.setdefault(parent, [])
            if child not in known[-1:]:
                known.append(child)
    y = {leaf: (i + 0.5) * row for i, leaf in enumerate(rows)}
    order = [node for node in taxonomy.depth_first() if node in texts]
    for node in reversed(order):
        if node in children:
            y[node] = (y[children[node][0]] + y[children[node][-1]]) / 2
    level_end = _level_ends(taxonomy, children, texts, text_width, left)
    placed = []
    for node in order:
        depth = taxonomy.depths[node]
        below = children.get(node)
        start = level_end[depth - 1] if depth else left
        text_x = start + (_STUB + GAP if depth else 0)
        text_end = text_x + text_width(texts[node])
        end = level_end[depth] if below else text_end
        span = (y[below[0]], y[below[-1]]) if below else None
        placed.append(Placed(node, texts[node], y[node], start, text_x, text_end, end, span))
    return placed


def _level_ends(taxonomy, children, texts, text_width, left) -> list[float]:
    """Where the lines of the inner nodes of each depth end."""
    ends: list[float] = []
    for depth in range(1 + max(taxonomy.depths[node] for node in texts)):
        widths = [text_width(texts[node]) for node in children if taxonomy.depths[node] == depth]
        start = ends[-1] + _STUB + GAP if ends else left
        ends.append(start + max(widths, default=0) + GAP + _STUB)
    return ends
