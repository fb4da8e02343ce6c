"""Fine-tuning: load earlier weights, freeze the layers they fill."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras

from models.files.saved import load_weights
from utils import UserError

logger = logging.getLogger(__name__)


def load_pretrained(model: keras.Model, path: Path) -> list[str]:
    """Load weights by layer name; log what did not fit.

    Returns:
        The names of the layers that were loaded.

    Raises:
        UserError: the file cannot be read or has no layer of this network.
    """
    report = load_weights(model, path)
    if not report.loaded:
        raise UserError(f"--finetune {path}: no layer of the file fits this network by name")
    logger.info("%s: loaded %d layers", path, len(report.loaded))
    for name in report.missing:
        logger.warning("%s: not in the file, starts anew: %s", path, name)
    for name, wanted, found in report.mismatched:
        logger.warning(
            "%s: differs in shape, starts anew: %s (network %s, file %s)",
            path,
            name,
            wanted,
            found,
        )
    return report.loaded


@contextmanager
def frozen(model: keras.Model, names: list[str]) -> Iterator[None]:
    """Freeze the named layers within the ``with`` block.

    Frozen batch normalization uses and keeps its statistics.
    """
    layers = [model.get_layer(name) for name in names]
    for layer in layers:
        layer.trainable = False
    try:
        yield
    finally:
        for layer in layers:
            layer.trainable = True
