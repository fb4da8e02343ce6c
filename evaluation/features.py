"""What a network computes for images: which of its tensors, and the pass over a split."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import keras
import numpy as np
from keras import KerasTensor, layers, ops

from datasets.batches import Batches
from models.heads import layer_output

CLASSIFIER = "prob"
"""Name of the softmax layer that classifies."""


def feature_tensor(model: keras.Model, layer: str | None = None) -> KerasTensor:
    """The features of an image, shape (batch, dimensions).

    Args:
        model: the network.
        layer: name or index of the layer whose output they are, as text; feature maps are
            averaged over all places. By default the embedding; for a plain classifier, the input
            of its last layer.

    Raises:
        UsageError: there is no such layer.
    """
    if layer is not None:
        return _flat(layer_output(model, layer))
    first = model.get_layer(model.output_names[0])
    return first.input if first.name == CLASSIFIER else model.outputs[0]


def _flat(tensor: KerasTensor) -> KerasTensor:
    if len(tensor.shape) == 4:
        return layers.GlobalAveragePooling2D(data_format="channels_last")(tensor)
    return tensor if len(tensor.shape) == 2 else layers.Flatten()(tensor)


def watching(model: keras.Model, tensor: KerasTensor, jit_compile: bool = False) -> keras.Model:
    """A network that computes one tensor of another.

    Args:
        model: the network.
        tensor: one of its tensors, (batch, dimensions).
        jit_compile: whether the computation is compiled.
    """
    network = keras.Model(model.input, tensor)
    network.jit_compile = jit_compile
    return network


def compute(network: keras.Model, batches: Batches, verbose: int = 0) -> np.ndarray:
    """One pass over a split: the output of a network for every image.

    Args:
        network: with one output, (batch, dimensions).
        batches: the images.
        verbose: 1 shows a progress bar.

    Returns:
        float32 (images, dimensions), in the order of the batches.
    """
    try:
        with _without_retracing_warning():
            values = network.predict(batches, verbose=verbose)
    except Exception as error:
        # Backends wrap an error of the reading threads into one of their own.
        if batches.error is None or batches.error is error:
            raise
        raise batches.error from error
    return np.asarray(values, dtype=np.float32)


@contextmanager
def _without_retracing_warning() -> Iterator[None]:
    """Drops TensorFlow's advice not to trace so often: every network is traced once, as it must."""

    def is_other(record: logging.LogRecord) -> bool:
        return "retracing" not in record.getMessage()

    logger = logging.getLogger("tensorflow")
    logger.addFilter(is_other)
    try:
        yield
    finally:
        logger.removeFilter(is_other)


def normalized(features: np.ndarray) -> np.ndarray:
    """The features scaled to unit length (L2 norm); zero vectors stay zero."""
    return ops.convert_to_numpy(ops.normalize(features, axis=-1, order=2))
