"""Draw taxonomies."""

import colorsys
import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

from embeddings.taxonomy.layout import Layout, branches, layout_tree, lowest_nodes
from embeddings.taxonomy.tree import Label, Taxonomy
from utils import UserError, listing, printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = (".svg", ".png")

_FONT = ("DejaVu Sans", "sans-serif")  # the first comes with matplotlib, not with browsers
_SIZE = 8.0  # font size in points
_ROW = 1.4 * _SIZE
_MARGIN = 16.0
_TITLE = 30.0  # height of the title above the tree
_DPI = 120  # resolution of PNG; lowercase letters are about 7 pixels high
_GOLDEN = 0.618034  # steps by the golden ratio spread hues evenly, however many there are
_LUMINANCE = 0.17  # relative, for a contrast of 4.5 against white (WCAG 2, level AA)
_GRAY = (0.35, 0.35, 0.35)


def draw(
    taxonomy: Taxonomy,
    labels: Sequence[Label],
    names: Mapping[str, str] | None = None,
    title: str = "",
) -> "Figure":
    """Draw the paths of a taxonomy from its root to some classes, colored by branch.

    Args:
        taxonomy: a tree.
        labels: the classes.
        names: names of classes by label, instead of those in the taxonomy.
        title: beginning of the title.

    Raises:
        UserError: a node has several parents, or there are several roots.
        UsageError: a label is unknown or occurs twice.
    """
    from matplotlib.figure import Figure

    _check_tree(taxonomy)
    leaves = lowest_nodes(taxonomy, taxonomy.nodes(labels))
    texts = [
        printable((names or {}).get(str(label), name))
        for label, name in zip(taxonomy.labels, taxonomy.names, strict=True)
    ]
    layout = layout_tree(taxonomy, leaves, texts, _text_width, _ROW)
    about = f"{len(labels)} classes, height {taxonomy.height}"
    heading = printable(f"{title}: {about}" if title else about)
    width = max(layout.width, _text_width(heading) * 1.5) + 2 * _MARGIN
    height = layout.height + _TITLE + 2 * _MARGIN
    figure = Figure((width / 72, height / 72), dpi=_DPI)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(-_MARGIN, width - _MARGIN))
    axes.set_ylim(height - _TITLE - _MARGIN, -_TITLE - _MARGIN)
    axes.set_axis_off()
    _write(axes, 0, -_TITLE + _SIZE / 2, heading, _GRAY, size=1.5 * _SIZE)
    _draw_nodes(axes, layout, branches(taxonomy, leaves))
    return figure


def _check_tree(taxonomy: Taxonomy) -> None:
    reason = ""
    if several := taxonomy.with_several_parents():
        reason = f"{listing(several)} (several parents)"
    elif len(taxonomy.roots) > 1:
        reason = f"it has {len(taxonomy.roots)} roots"
    if reason:
        raise UserError(f"{taxonomy.source} is not a tree and cannot be drawn: {reason}")


def _draw_nodes(axes, layout: Layout, branch: Mapping[int, int]) -> None:
    from matplotlib.collections import LineCollection

    colors = [_color(i) for i in range(1 + max(branch.values(), default=0))]
    segments, line_colors = [], []
    for item in layout.placed:
        color = colors[branch[item.node]] if item.node in branch else _GRAY
        segments += item.lines
        line_colors += [color] * len(item.lines)
        _write(axes, item.x, item.y, item.text, color)
    axes.add_collection(
        LineCollection(segments, colors=line_colors, linewidths=0.8, capstyle="round")
    )


def _write(axes, x: float, y: float, text: str, color, size: float = _SIZE) -> None:
    axes.text(
        x,
        y,
        text,
        color=color,
        fontsize=size,
        family=_FONT,
        verticalalignment="center_baseline",
        parse_math=False,
    )


@cache
def _text_width(text: str) -> float:
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family=_FONT, size=_SIZE)
    with warnings.catch_warnings():  # ``save_plot`` reports missing glyphs, once
        warnings.filterwarnings("ignore", message="Glyph .* missing", category=UserWarning)
        return text_to_path.get_text_width_height_descent(text, font, ismath=False)[0]


def _color(number: int) -> tuple[float, ...]:
    """Return a color dark enough for text on white; consecutive numbers contrast most."""
    hue = number * _GOLDEN % 1
    rgb = colorsys.hls_to_rgb(hue, 0.36 if number % 2 else 0.28, 0.8)
    luminance = sum(w * c**2.2 for w, c in zip((0.2126, 0.7152, 0.0722), rgb, strict=True))
    darker = min(1, (_LUMINANCE / luminance) ** (1 / 2.2))
    return tuple(darker * c for c in rgb)
