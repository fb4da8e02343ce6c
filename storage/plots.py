"""Writing pictures: whole or not at all, the same file for the same picture, no warnings."""

import logging
import warnings
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

from storage.files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)

# Distinguishable without colour vision, and by line style without colours (Okabe and Ito, 2008).
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_LINES = ("-", "--", "-.", ":")


def line_styles() -> Iterator[dict[str, str]]:
    """Arguments of ``plot`` for one line after the other, without end."""
    for colour, line in zip(cycle(_COLOURS), cycle(_LINES), strict=False):
        yield {"color": colour, "linestyle": line}


def save_figure(figure: "Figure", path: Path, **options: object) -> None:
    """Writes a picture; SVG keeps text as text, so that it can be searched.

    Args:
        figure: the picture.
        path: its suffix decides about the format.
        **options: arguments of ``Figure.savefig``.

    Raises:
        UserError: the file cannot be written.
    """
    import matplotlib

    # Nothing of date or chance, so that the same figures give the same file.
    metadata = {"Date": None} if path.suffix.lower() == ".svg" else {}
    settings = {"svg.fonttype": "none", "svg.hashsalt": "figure"}
    with (
        matplotlib.rc_context(settings),
        replacing(path) as temporary,
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.filterwarnings("always", message="Glyph .* missing", category=UserWarning)
        figure.savefig(temporary, metadata=metadata, **options)
    if caught:
        logger.warning("%s: some characters are not in the font and show as boxes", path)
