"""Line styles and legends of all plots with several curves."""

from collections.abc import Iterator, Sequence
from itertools import cycle

from utils import printable

# Distinguishable with color blindness (Okabe and Ito, 2008), and by dashes in black and white.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_DASHES = ("-", "--", "-.", ":")


def line_styles() -> Iterator[dict[str, str]]:
    """Yield the arguments of ``Axes.plot`` for one curve after another, endlessly."""
    for color, dashes in zip(cycle(COLORS), cycle(_DASHES), strict=False):
        yield {"color": color, "linestyle": dashes}


def add_legend(owner, lines: Sequence, names: Sequence[str], **options) -> None:
    """Label curves verbatim in the legend of an ``Axes`` or ``Figure``.

    Matplotlib 3.9 leaves labels that begin with an underscore out of legends
    (https://github.com/matplotlib/matplotlib/pull/26190), and all versions parse dollar signs as
    formulas, so the text is set after the legend has been laid out.
    """
    numbers = [str(i) for i in range(len(names))]
    legend = owner.legend(lines, numbers, frameon=False, **options)
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_parse_math(False)
        text.set_text(printable(name))
