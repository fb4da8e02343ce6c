"""Plot files: complete or absent, identical for identical plots, written without warnings."""

import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from storage.files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)


def save_plot(figure: "Figure", path: Path, **options: object) -> None:
    """Save a Matplotlib figure in the format of the file's suffix; text in SVG can be searched.

    ``options`` are arguments of ``Figure.savefig``.
    """
    import matplotlib

    # Neither dates nor random IDs, so that the same plot gives the same bytes.
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
