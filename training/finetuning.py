"""Fine-tuning: load pre-trained weights, and train only the last layers at first."""

import logging
from collections.abc import Container, Iterator
from contextlib import contextmanager
from pathlib import Path

import keras

from models.files.saved import load_weights
from models.heads import NORMALIZATIONS
from utils import UserError

logger = logging.getLogger(__name__)


_LAST = ("embedding", "prob")


def load_pretrained(model: keras.Model, path: Path) -> None:
    """Load weights by layer name, and log the layers that did not match.

    Raises:
        UserError: the file cannot be read or has no layer of this network.
    """
    report = load_weights(model, path)
    if not report.loaded:
        raise UserError(f"--finetune {path}: no layer of the file matches this network by name")
    logger.info("%s: loaded %d layers", path, len(report.loaded))
    for name in report.missing:
        logger.warning("%s: not in the file, trained from scratch: %s", path, name)
    for name, wanted, found in report.mismatched:
        logger.warning(
            "%s: differs in shape, trained from scratch: %s (network %s, file %s)",
            path,
            name,
            wanted,
            found,
        )


def last_layers(model: keras.Model) -> set[str]:
    """Return the names of the layers to train first, the same as in the published code.

    These are ``embedding``, ``prob`` and the last layer of the backbone, which may have no weights,
    regardless of which layers were loaded.
    """
    last = model.get_layer(model.output_names[0])
    if last.name in NORMALIZATIONS:
        last = next(layer for layer in model.layers if layer.output is last.input)
    return {last.name, *_LAST}


@contextmanager
def training_only(model: keras.Model, names: Container[str]) -> Iterator[None]:
    """Freeze all layers but the named ones within the ``with`` block.

    As in Keras 2, frozen batch normalization uses the statistics of each batch and updates neither
    its weights nor its moving statistics. Layers frozen by Keras 3 use the moving statistics, those
    of a new classifier's normalization being 0 and 1.
    """
    layers = [layer for layer in model.layers if layer.trainable and layer.name not in names]
    normalizing = [one for one in layers if isinstance(one, keras.layers.BatchNormalization)]
    others = [layer for layer in layers if layer not in normalizing]
    weights = [weight for layer in normalizing for weight in layer.trainable_weights]
    momenta = [layer.momentum for layer in normalizing]
    for each in (*others, *weights):
        each.trainable = False
    for layer in normalizing:
        layer.momentum = 1.0  # of the moving statistics, which stay
    try:
        yield
    finally:
        for each in (*others, *weights):
            each.trainable = True
        for layer, momentum in zip(normalizing, momenta, strict=True):
            layer.momentum = momentum
