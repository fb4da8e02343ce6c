"""What all backbones begin and end with.

Only layers that Keras brings along, and no lambdas: a saved model loads without this package.
"""

from collections.abc import Sequence

import keras
from keras import KerasTensor, layers


def image_input(
    channels: int,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    bgr: bool = False,
) -> tuple[KerasTensor, KerasTensor]:
    """The input, for raw pixels 0..255, and the normalized images.

    The input is float32 because Keras casts what it is given to the input's type: with uint8 it
    would truncate images that are float already.

    Args:
        channels: number of channels.
        mean: per channel in RGB order, 0 by default.
        std: per channel in RGB order, 1 by default.
        bgr: whether to reverse the channels after the normalization.
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


def pad_channels(x: KerasTensor, before: int, after: int) -> KerasTensor:
    """Adds channels of zeros before and after those of ``x``.

    ``channels_first`` makes the layer pad the last two of the four dimensions; in our images,
    whose channels come last, those are the columns and the channels. That is a plain Keras layer,
    unlike ``keras.ops.pad``, which a model in the old HDF5 format cannot hold.
    """
    return layers.ZeroPadding2D(((0, 0), (before, after)), data_format="channels_first")(x)


def reverse_channels(x: KerasTensor) -> KerasTensor:
    """Reverses the order of the channels: RGB becomes BGR.

    Cuts the channels apart (see ``pad_channels`` for ``channels_first``) and joins them again:
    a model in the old HDF5 format cannot hold ``keras.ops.flip``.
    """
    count = x.shape[-1]
    single = [
        layers.Cropping2D(((0, 0), (i, count - 1 - i)), data_format="channels_first")(x)
        for i in reversed(range(count))
    ]
    return layers.Concatenate(axis=-1, name="bgr")(single)


def average_pool(x: KerasTensor) -> KerasTensor:
    """The mean over all positions, in float32 whatever precision the body computes in."""
    return layers.GlobalAveragePooling2D(
        data_format="channels_last", dtype="float32", name="avg_pool"
    )(x)


def output_layer(
    x: KerasTensor, num_outputs: int, classifier: bool, decay: float = 0.0
) -> KerasTensor:
    """The last dense layer, in float32: ``prob`` with softmax or a linear ``embedding``.

    Args:
        x: features, (batch, dimensions).
        num_outputs: number of classes or dimensions of the embedding.
        classifier: whether it is ``prob``.
        decay: coefficient of the L2 penalty.
    """
    return layers.Dense(
        num_outputs,
        activation="softmax" if classifier else None,
        kernel_regularizer=keras.regularizers.L2(decay) if decay else None,
        dtype="float32",
        name="prob" if classifier else "embedding",
    )(x)
