"""ResNets of 18 to 200 layers without biases, named as in the keras-resnet package.

Source: He et al., Deep Residual Learning for Image Recognition (CVPR 2016),
https://arxiv.org/abs/1512.03385.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from keras import KerasTensor, layers

from models.backbones.resnet import ConvStyle, bottleneck, labelled, residual_network
from models.registry import BACKBONES

UNBIASED = ConvStyle(use_bias=False, epsilon=1e-5)


def basic(
    x: KerasTensor, channels: int, stride: int, project: bool, label: str, style: ConvStyle
) -> KerasTensor:
    """A block of two 3x3 convolutions; the first of them has the stride.

    The first block of every stage projects its input, even where the shape stays the same.
    """
    y = labelled(x, channels, 3, stride, label, "2a", style)
    y = layers.ReLU()(y)
    y = labelled(y, channels, 3, 1, label, "2b", style)
    if project:
        x = labelled(x, channels, 1, stride, label, "1", style)
    return layers.ReLU()(layers.Add()([y, x]))


class Variant(NamedTuple):
    """The number of blocks in each stage, and what a block is."""

    blocks: tuple[int, int, int, int]
    block: Callable


VARIANTS = {
    "rn18": Variant((2, 2, 2, 2), basic),
    "rn34": Variant((3, 4, 6, 3), basic),
    "rn50": Variant((3, 4, 6, 3), bottleneck),
    "rn101": Variant((3, 4, 23, 3), bottleneck),
    "rn152": Variant((3, 8, 36, 3), bottleneck),
    "rn200": Variant((3, 24, 36, 3), bottleneck),
}

for _name, _variant in VARIANTS.items():
    BACKBONES.register(_name)(partial(residual_network, **_variant._asdict(), style=UNBIASED))
