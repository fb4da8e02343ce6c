"""Failed writes during training, which must not end it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import keras

from utils import UserError

logger = logging.getLogger(__name__)


@contextmanager
def survived(
    callback: keras.callbacks.Callback, note: str = "; training goes on"
) -> Iterator[None]:
    """Log a failed write in the ``with`` block, with a note, and keep it as ``callback.error``.

    The weights in memory are worth more than a file. After a successful write, the error is None.
    """
    try:
        yield
        callback.error = None
    except UserError as error:
        logger.error("%s%s", error, note)
        callback.error = error
