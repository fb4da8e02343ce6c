"""Deep pyramidal residual networks for CIFAR: every block adds a few channels.

Source: Han et al., Deep Pyramidal Residual Networks (CVPR 2017), https://arxiv.org/abs/1610.02915.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from keras import KerasTensor, layers, regularizers

from models.backbones.automatic_names import AutomaticNames
from models.layers.batch_normalization import batch_normalization
from models.layers.channels import pad_channels
from models.layers.convolver import ORDINARY, Convolver
from models.layers.outputs import average_pool, output_layer
from models.registry import BACKBONES

DECAY = 2e-4
STAGES = 3
FIRST_CHANNELS = 16


def basic(
    x: KerasTensor, channels: int, stride: int, names: AutomaticNames, conv: Convolver
) -> tuple[KerasTensor, KerasTensor]:
    """Return the residual branch of two 3x3 convolutions, and the input of the shortcut."""
    y = _convolution(_normalize(x, names), channels, 3, stride, names("conv2d"), conv)
    y = _convolution(_activate(y, names), channels, 3, 1, names("conv2d"), conv)
    return _normalize(y, names), conv.basic_shortcut(x, stride)


def bottleneck(
    x: KerasTensor, channels: int, stride: int, names: AutomaticNames, conv: Convolver
) -> tuple[KerasTensor, KerasTensor]:
    """Return the same for 1x1, 3x3 and 1x1 convolutions, of which the 3x3 one has the stride."""
    y = _convolution(_normalize(x, names), channels, 1, 1, names("conv2d"), conv)
    y = _convolution(_activate(y, names), channels, 3, stride, names("conv2d"), conv)
    y = _convolution(_activate(y, names), 4 * channels, 1, 1, names("conv2d"), conv)
    return _normalize(y, names), conv.shortcut(x, 1)


class Variant(NamedTuple):
    """Settings of one network of the family."""

    branch: Callable  # basic or bottleneck
    blocks: int  # blocks in each of the three stages
    widening: int  # channels that all blocks together add to the initial 16


VARIANTS = {
    "pyramidnet-272-200": Variant(bottleneck, 30, 200),
    "pyramidnet-110-270": Variant(basic, 18, 270),
}


def pyramidnet(
    x: KerasTensor,
    num_outputs: int | None,
    classifier: bool,
    conv: Convolver = ORDINARY,
    *,
    variant: Variant,
) -> KerasTensor:
    """Build three stages of blocks with parameter-free shortcuts."""
    names = AutomaticNames()
    x = _convolution(x, FIRST_CHANNELS, 3, 1, "conv0", conv, first=True)
    x = batch_normalization("bn0")(x)
    channels = float(FIRST_CHANNELS)
    for stage in range(STAGES):
        for block in range(variant.blocks):
            channels += variant.widening / (STAGES * variant.blocks)
            stride = 2 if stage > 0 and block == 0 else 1
            y, x = variant.branch(x, round(channels), stride, names, conv)
            x = layers.Add(name=names("add"))([y, _shortcut(x, y.shape[-1], stride, names)])
    x = layers.Activation("relu", name="act4")(batch_normalization("bn4")(x))
    return output_layer(average_pool(x), num_outputs, classifier, decay=DECAY)


def _shortcut(x: KerasTensor, channels: int, stride: int, names: AutomaticNames) -> KerasTensor:
    if stride > 1:
        # "same", like the parallel convolution: both round odd sizes up.
        x = layers.AveragePooling2D(
            stride, padding="same", data_format="channels_last", name=names("average_pooling2d")
        )(x)
    added = channels - x.shape[-1]
    return pad_channels(x, 0, added, name=names("channel_padding")) if added else x


def _activate(x: KerasTensor, names: AutomaticNames) -> KerasTensor:
    return layers.Activation("relu", name=names("activation"))(_normalize(x, names))


def _normalize(x: KerasTensor, names: AutomaticNames) -> KerasTensor:
    return batch_normalization(names("batch_normalization"))(x)


def _convolution(
    x: KerasTensor,
    channels: int,
    size: int,
    stride: int,
    name: str,
    conv: Convolver,
    first: bool = False,
) -> KerasTensor:
    return conv(
        x,
        channels,
        size,
        stride,
        "same" if size > 1 else 0,
        first=first,
        kernel_initializer="glorot_normal",
        kernel_regularizer=regularizers.L2(DECAY),
        name=name,
    )


for _name, _variant in VARIANTS.items():
    BACKBONES.register(_name)(partial(pyramidnet, variant=_variant))
