"""Compute features of paired images with a saved model."""

from copy import copy
from pathlib import Path

import keras
import numpy as np
from keras import KerasTensor, ops

from datasets.base import Split
from datasets.images.augmentation.preprocessing import Preprocessing
from datasets.images.files import EncodedImages, FileImages
from evaluation.features import feature_tensor
from evaluation.loading import LoaderOptions
from models.files.description import ModelDescription


def of_images(
    file: Path,
    images: FileImages | EncodedImages,
    model: keras.Model,
    description: ModelDescription,
    layer: str | None,
    mirror: bool,
    loader: LoaderOptions,
) -> np.ndarray:
    """Return the features of images, which are resized and cropped like test images.

    Args:
        file: file of the model.
        images: the images, which are read with the number of channels that the network takes.
        model: the network.
        description: description of its images.
        layer: see ``evaluation.features.feature_tensor``.
        mirror: whether to add the features of the mirrored image.
        loader: options for reading images.

    Returns:
        float32 (images, dimensions).

    Raises:
        UserError: an image cannot be read, or the network yields values that are not finite.
    """
    images = copy(images)
    images.channels = description.channels
    network = keras.Model(model.inputs, feature_tensor(model, layer))
    if mirror:
        network = keras.Model(model.inputs, _with_mirrored(network, model.inputs[0]))
    sizes = Preprocessing(test_size=description.target_size, crop_size=description.crop_size)
    split = Split.whole(images, np.zeros(len(images), np.int64), map(str, range(len(images))))
    (features,) = loader.compute(network, file, split, sizes.test)
    return features


def _with_mirrored(network: keras.Model, images: KerasTensor) -> KerasTensor:
    """Return the sum of the features of images and their mirror images."""
    return ops.add(network(images), network(ops.flip(images, axis=2)))
