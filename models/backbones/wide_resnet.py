"""Wide residual networks: fewer layers than ResNet-110, ten times the channels.

Source: Zagoruyko and Komodakis, Wide Residual Networks (BMVC 2016),
https://arxiv.org/abs/1605.07146.
"""

from functools import partial
from typing import NamedTuple

from keras import KerasTensor, layers, regularizers

from models.layers.batch_normalization import batch_normalization
from models.layers.convolution import conv2d
from models.layers.outputs import average_pool, output_layer
from models.registry import BACKBONES

DECAY = 5e-4


class Variant(NamedTuple):
    """The number of blocks per unit, and the factor to the channels 16, 32, 64 of the units."""

    blocks: int
    width: int


VARIANTS = {"wrn-28-10": Variant(blocks=4, width=10)}


def wide_resnet(
    x: KerasTensor, num_outputs: int, classifier: bool, *, variant: Variant
) -> KerasTensor:
    """A residual network that normalizes and rectifies before its convolutions."""
    x = _convolution(x, 16, 3, 1, "conv0")
    for unit, channels in enumerate((16, 32, 64), start=1):
        for block in range(1, variant.blocks + 1):
            stride = 2 if unit > 1 and block == 1 else 1
            x = _block(x, channels * variant.width, stride, f"{unit}-{block}")
    x = average_pool(_activate(x, "bn"))
    return output_layer(x, num_outputs, classifier, decay=DECAY)


def _block(x: KerasTensor, channels: int, stride: int, label: str) -> KerasTensor:
    y = _activate(x, f"bn{label}x")
    if x.shape[-1] != channels:
        x = _convolution(y, channels, 1, stride, f"res{label}s")
    y = _convolution(y, channels, 3, stride, f"res{label}x")
    y = _convolution(_activate(y, f"bn{label}y"), channels, 3, 1, f"res{label}y")
    return layers.Add()([y, x])


def _activate(x: KerasTensor, name: str) -> KerasTensor:
    # The authors' program is in Torch, whose defaults these are.
    return layers.ReLU()(batch_normalization(name, momentum=0.9, epsilon=1e-5)(x))


def _convolution(x: KerasTensor, channels: int, size: int, stride: int, name: str) -> KerasTensor:
    return conv2d(
        channels,
        size,
        stride,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        kernel_regularizer=regularizers.L2(DECAY),
        name=name,
    )(x)


for _name, _variant in VARIANTS.items():
    BACKBONES.register(_name)(partial(wide_resnet, variant=_variant))
