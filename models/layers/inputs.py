"""Inputs of networks: images and their normalization, word numbers and their vectors.

Uses only Keras' own layers, so that saved models can be loaded without this package.
"""

from collections.abc import Sequence

import keras
from keras import KerasTensor, layers

from models.layers.channels import reverse_channels

IMAGE_LAYERS = ("normalization", "bgr")
"""Names of the last layers that ``image_input`` adds to the input."""


def image_input(
    channels: int = 3,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    bgr: bool = False,
) -> tuple[KerasTensor, KerasTensor]:
    """Return the input, for raw pixels 0..255, and the images normalized by channel, in RGB order.

    The input is float32 because Keras casts images to the type of the input: uint8 would
    truncate images that are float already. The channels may be reversed after the normalization.
    """
    image = keras.Input((None, None, channels), dtype="float32", name="image")
    x = image
    if mean is not None or std is not None:
        x = layers.Normalization(
            mean=[float(m) for m in ([0] * channels if mean is None else mean)],
            variance=[float(s) ** 2 for s in ([1] * channels if std is None else std)],
            dtype="float32",
            name="normalization",
        )(x)
    return image, reverse_channels(x) if bgr and channels > 1 else x


def word_input(words: int, dimensions: int) -> tuple[KerasTensor, KerasTensor]:
    """Return the input, for word numbers, and the word vectors, which are not trained.

    Number 0 is padding and masked out.

    Args:
        words: number of rows of the table of word vectors.
        dimensions: dimension of the vectors.
    """
    numbers = keras.Input((None,), dtype="int32", name="words")
    vectors = layers.Embedding(
        words,
        dimensions,
        embeddings_initializer="zeros",
        mask_zero=True,
        trainable=False,
        name="word_vectors",
    )
    return numbers, vectors(numbers)
