"""Plot files: complete or absent, identical for identical plots, written without warnings."""

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from storage.files import replacing
from utils import UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)


def check_plot_path(option: str, path: Path, formats: Sequence[str]) -> None:
    """Refuse a file name whose suffix is none of ``formats``, e.g. ``(".png", ".svg")``.

    Raises:
        UsageError: the format is unknown; the message starts with ``option``.
    """
    if path.suffix.lower() not in formats:
        raise UsageError(f"{option} {path}: the name has to end in {' or '.join(formats)}")


def save_plot(figure: "Figure", path: Path, **options: object) -> None:
    """Save a Matplotlib figure in the format of the file's suffix.

    SVG keeps text as text, so that it can be searched.

    Args:
        figure: the plot.
        path: the file.
        **options: arguments of ``Figure.savefig``.

    Raises:
        UserError: the file cannot be written.
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
