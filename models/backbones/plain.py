"""Plain-11, called "simple": a convolutional network for CIFAR without shortcuts.

Source: Barz and Denzler, Hierarchy-based Image Embeddings for Semantic Image Retrieval (WACV
2019), https://arxiv.org/abs/1809.09924.
"""

from keras import KerasTensor, layers, regularizers

from models.layers.batch_normalization import batch_normalization
from models.layers.convolution import conv2d
from models.layers.outputs import average_pool, output_layer
from models.registry import BACKBONES

DECAY = 5e-4

# Output channels of a convolution, or None for pooling; layer numbers count both.
BODY = (64, 64, None, 128, 128, 128, None, 256, 256, 256, None, 512)


@BACKBONES.register("simple")
def simple(x: KerasTensor, num_outputs: int | None, classifier: bool) -> KerasTensor:
    """Build nine convolutional and three pooling layers, then two dense layers."""
    for number, channels in enumerate(BODY, start=1):
        if channels is None:
            x = layers.AveragePooling2D(2, data_format="channels_last", name=f"ap{number}")(x)
        else:
            x = _convolution(x, channels, number)
    x = average_pool(x)
    x = layers.Dense(
        512, activation="relu", kernel_regularizer=regularizers.L2(DECAY), name="fc14"
    )(x)
    x = batch_normalization("bn14")(x)
    return output_layer(x, num_outputs, classifier)


def _convolution(x: KerasTensor, channels: int, number: int) -> KerasTensor:
    x = conv2d(
        channels,
        3,
        padding="same",
        activation="relu",
        kernel_regularizer=regularizers.L2(DECAY),
        name=f"conv{number}",
    )(x)
    # After the activation, as in the original.
    return batch_normalization(f"bn{number}")(x)
