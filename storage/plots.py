"""Saving plots: files are complete or absent, and identical for identical plots."""

import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from storage.files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)


def save_plot(figure: "Figure", path: Path, **options: object) -> None:
    """Save a Matplotlib figure in the format of the file's suffix, in SVG with searchable text.

    ``options`` are arguments of ``Figure.savefig``.
    """
    import matplotlib

    # Without dates and random IDs, the same plot gives the same bytes.
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
        logger.warning("%s: some characters are missing in the font and appear as boxes", path)
