"""Inputs of networks: images and their normalization, word indices and their vectors.

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
    """Return the input, for raw pixels 0 to 255, and the images normalized per channel.

    The input is float32 because Keras casts images to the type of the input: uint8 would truncate
    float images. ``mean`` and ``std`` are in RGB order; ``bgr`` reverses the channels afterwards.
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
    """Return the input, for word indices, and the word vectors, which are not trained.

    Index 0 is padding and masked.

    Args:
        words: number of word vectors, including those for padding and unknown words.
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
