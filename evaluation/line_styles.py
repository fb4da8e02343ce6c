"""Line styles of all plots with several curves."""

from collections.abc import Iterator
from itertools import cycle

# Distinguishable without color vision (Okabe and Ito, 2008), and by dashes without colors.
_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_DASHES = ("-", "--", "-.", ":")


def line_styles() -> Iterator[dict[str, str]]:
    """Yield the arguments of ``Axes.plot`` for one curve after another, endlessly."""
    for color, dashes in zip(cycle(_COLORS), cycle(_DASHES), strict=False):
        yield {"color": color, "linestyle": dashes}
