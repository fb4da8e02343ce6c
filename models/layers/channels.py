"""Zero padding and reordering of channels.

Uses only Keras' own layers, so that saved models can be loaded without this package.
"""

from keras import KerasTensor, layers


def pad_channels(x: KerasTensor, before: int, after: int, name: str | None = None) -> KerasTensor:
    """Add channels of zeros before and after those of ``x``.

    ``channels_first`` makes the layer pad the last two of four dimensions, which here are width and
    channels. Keras 3.15 would not load ``keras.ops.pad`` from the old HDF5 format, in which it only
    looks for layers ("Unknown layer: 'Pad'"); no issue is known.
    """
    padding = ((0, 0), (before, after))
    return layers.ZeroPadding2D(padding, data_format="channels_first", name=name)(x)


def reverse_channels(x: KerasTensor) -> KerasTensor:
    """Reverse the order of the channels: RGB becomes BGR.

    Splits and concatenates the channels: see ``pad_channels`` for ``channels_first``, and for why
    this is not ``keras.ops.flip``.
    """
    count = x.shape[-1]
    single = [
        layers.Cropping2D(((0, 0), (i, count - 1 - i)), data_format="channels_first")(x)
        for i in reversed(range(count))
    ]
    return layers.Concatenate(axis=-1, name="bgr")(single)
