"""Writing pictures: whole or not at all, the same file for the same picture, no warnings."""

import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)


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
