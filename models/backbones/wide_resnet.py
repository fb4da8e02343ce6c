"""Wide residual networks: fewer layers than ResNet-110, ten times the channels.

Source: Zagoruyko and Komodakis, Wide Residual Networks (BMVC 2016),
https://arxiv.org/abs/1605.07146; layer names, batch normalization and the absence of penalties as
in the Keras code that Barz and Denzler used.
"""

from functools import partial
from typing import NamedTuple

from keras import KerasTensor, initializers, layers

from models.backbones.automatic_names import AutomaticNames
from models.layers.batch_normalization import batch_normalization
from models.layers.convolution import conv2d
from models.layers.outputs import average_pool, output_layer
from models.registry import BACKBONES


class Variant(NamedTuple):
    """The number of blocks per unit, and the factor to the channels 16, 32, 64 of the units."""

    blocks: int
    width: int


VARIANTS = {"wrn-28-10": Variant(blocks=4, width=10)}


def wide_resnet(
    x: KerasTensor, num_outputs: int | None, classifier: bool, *, variant: Variant
) -> KerasTensor:
    """Build a residual network that normalizes and rectifies before most of its convolutions."""
    names = AutomaticNames()
    x = _activate(_convolution(x, 16, 3, 1, names), names)
    for unit, channels in enumerate((16, 32, 64)):
        x = _first_block(x, channels * variant.width, 2 if unit else 1, names)
        for _ in range(variant.blocks - 1):
            x = _block(x, names)
        x = _activate(x, names)
    x = average_pool(x, names("global_average_pooling2d"))
    return output_layer(x, num_outputs, classifier)


def _first_block(x: KerasTensor, channels: int, stride: int, names: AutomaticNames) -> KerasTensor:
    y = _activate(_convolution(x, channels, 3, stride, names), names)
    y = _convolution(y, channels, 3, 1, names)
    x = _convolution(x, channels, 1, stride, names)
    return layers.Add(name=names("add"))([y, x])


def _block(x: KerasTensor, names: AutomaticNames) -> KerasTensor:
    y = x
    for _ in range(2):
        y = _convolution(_activate(y, names), x.shape[-1], 3, 1, names)
    return layers.Add(name=names("add"))([x, y])


def _activate(x: KerasTensor, names: AutomaticNames) -> KerasTensor:
    # The momentum is that of Torch, where it is the share of the new statistics; in Keras' meaning
    # the moving averages are almost those of the last batch. So did the published code.
    x = batch_normalization(
        names("batch_normalization"),
        momentum=0.1,
        epsilon=1e-5,
        gamma_initializer=initializers.RandomUniform(-0.05, 0.05),
    )(x)
    return layers.Activation("relu", name=names("activation"))(x)


def _convolution(
    x: KerasTensor, channels: int, size: int, stride: int, names: AutomaticNames
) -> KerasTensor:
    return conv2d(
        channels,
        size,
        stride,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=names("conv2d"),
    )(x)


for _name, _variant in VARIANTS.items():
    BACKBONES.register(_name)(partial(wide_resnet, variant=_variant))
