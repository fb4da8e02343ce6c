"""Features: select their tensor in a network, and compute them for a split."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from keras import KerasTensor, layers, ops

from datasets.batches import Batches
from models.decisions import is_softmax
from models.heads import layer_output
from utils import UserError, without_log


def feature_tensor(model: keras.Model, layer: str | None = None) -> KerasTensor:
    """Return the tensor of the features, (batch, dimensions).

    This is the output of a layer, given by name or by index as text, with feature maps averaged
    over all positions. The default is the embedding or, for a plain classifier, the input of the
    last layer or of a batch normalization directly before it.
    """
    if layer is not None:
        return _flat(layer_output(model, layer))
    if has_embedding(model):
        return model.outputs[0]
    tensor = _first_layer(model).input
    before = next(layer for layer in model.layers if layer.output is tensor)
    return before.input if isinstance(before, layers.BatchNormalization) else tensor


def has_embedding(model: keras.Model) -> bool:
    """Return whether the first output is an embedding, not a classifier's."""
    first = _first_layer(model)
    return not (isinstance(first, layers.Dense) and is_softmax(first))


def _first_layer(model: keras.Model) -> keras.Layer:
    return model.get_layer(model.output_names[0])


def _flat(tensor: KerasTensor) -> KerasTensor:
    if len(tensor.shape) == 4:
        return layers.GlobalAveragePooling2D(data_format="channels_last")(tensor)
    return tensor if len(tensor.shape) == 2 else layers.Flatten()(tensor)


def compute(
    network: keras.Model,
    batches: Batches,
    verbose: int = 0,
    check: Callable[[], None] | None = None,
    shard: Callable[[np.ndarray], object] = lambda images: images,
) -> list[np.ndarray]:
    """Return the outputs of a network for an entire split, in order.

    ``Model.predict`` would build a TensorFlow pipeline in each call, and leak some of it
    (https://github.com/tensorflow/tensorflow/issues/37653). Padding the last batch avoids compiling
    a second function.

    Args:
        network: a network with outputs of shape (batch, dimensions).
        batches: the split, in order.
        verbose: 1 shows a progress bar.
        check: called after every batch; may raise an exception to end the pass.
        shard: distributes the images of a batch over all devices.

    Returns:
        One float32 array (samples, dimensions) per output.
    """
    progress = keras.utils.Progbar(len(batches), verbose=verbose)
    size, found = None, []
    # TensorFlow warns about retracing, but every network must be traced once.
    with without_log("tensorflow", "retracing"):
        for index in range(len(batches)):
            images = batches[index][0]
            size = size or len(images)
            outputs = network.predict_on_batch(shard(_filled(images, size)))
            found.append(
                [_shares(v, len(images), batches.part[1]) for v in keras.tree.flatten(outputs)]
            )
            progress.update(index + 1)
            if check:
                check()
    count = len(batches.split)  # without the padding of the last batch
    return [np.float32(np.concatenate(output)[:count]) for output in zip(*found, strict=True)]


def _filled(images: np.ndarray, size: int) -> np.ndarray:
    missing = size - len(images)
    return np.concatenate([images, np.repeat(images[:1], missing, axis=0)]) if missing else images


def _shares(values: np.ndarray, number: int, processes: int) -> np.ndarray:
    """Return the first values of each process's share of a batch, without the padding."""
    shares = values.reshape(processes, -1, *values.shape[1:])
    return shares[:, :number].reshape(-1, *values.shape[1:])


def finite(values: np.ndarray, source: str | Path) -> np.ndarray:
    """Return the values that a network computes.

    Raises:
        UserError: some are not finite; names the ``source``, a model.
    """
    if not np.isfinite(values).all():
        raise UserError(f"{source} computes values that are not finite for some samples")
    return values


def class_means(features: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Return the mean features of each class, float64 (classes, dimensions); all must occur."""
    sums = np.zeros((classes, features.shape[1]))
    np.add.at(sums, labels, features)
    return sums / np.bincount(labels, minlength=classes)[:, np.newaxis]


def normalized(features: np.ndarray) -> np.ndarray:
    """Return the features scaled to unit length (L2 norm); zero vectors stay zero."""
    return ops.convert_to_numpy(ops.normalize(features, axis=-1, order=2))
