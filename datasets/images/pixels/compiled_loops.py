"""Choose between loops over pixels compiled by Numba, and their equivalents in Pillow."""

import importlib
import logging
from collections.abc import Callable
from types import ModuleType

import numpy as np

from utils import one_line

logger = logging.getLogger(__name__)


def compiled_or(
    pillow: ModuleType, name: str, pixels: Callable[[ModuleType], np.ndarray], what: str
) -> ModuleType:
    """Return the module of compiled loops, or Pillow's if Numba does not work.

    Args:
        pillow: module with the same functions.
        name: name of the compiled module, which is imported here.
        pixels: computes the pixels by which both are compared.
        what: what is slow without Numba, for the warning.
    """
    try:
        loops = importlib.import_module(name)
        if np.array_equal(pixels(loops), pixels(pillow)):
            return loops
        reason = "it would change pixels"
    except Exception as error:  # there are many reasons, and none keeps Pillow from working
        reason = one_line(error)
    logger.warning("%s slowly, without Numba: %s", what, reason)
    return pillow
