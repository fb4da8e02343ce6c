"""Densely connected networks for CIFAR: every layer takes the feature maps of all preceding ones.

Source: Huang et al., Densely Connected Convolutional Networks (CVPR 2017),
https://arxiv.org/abs/1608.06993; layer names, and L2 penalties on the first and the 1x1
convolutions only, as in the Keras code that Barz and Denzler used.
"""

from functools import partial
from typing import NamedTuple

from keras import KerasTensor, layers, regularizers

from models.backbones.automatic_names import AutomaticNames
from models.layers.batch_normalization import batch_normalization
from models.layers.convolution import conv2d
from models.layers.outputs import average_pool, output_layer
from models.registry import BACKBONES

DECAY = 1e-4
BLOCKS = 3


class Variant(NamedTuple):
    """Settings of one network of the family."""

    growth: int  # channels that every layer adds
    depth: int  # layers in each block
    first: int  # channels of the first convolution
    bottleneck: bool  # whether a 1x1 convolution to four times the growth precedes each 3x3 one
    compression: float  # share of the channels that transitions between blocks keep


VARIANTS = {
    "densenet-100-12": Variant(12, 32, 16, bottleneck=False, compression=1.0),
    "densenet-100-24": Variant(24, 32, 16, bottleneck=False, compression=1.0),
    "densenet-bc-190-40": Variant(40, 31, 80, bottleneck=True, compression=0.5),
}


def densenet(
    x: KerasTensor, num_outputs: int | None, classifier: bool, *, variant: Variant
) -> KerasTensor:
    """Build three dense blocks with transitions (1x1 convolution, average pooling) in between."""
    names = AutomaticNames()
    x = _convolution(x, variant.first, 3, names, decay=DECAY)
    for block in range(BLOCKS):
        if block > 0:
            x = _convolution(
                _activate(x, names), int(x.shape[-1] * variant.compression), 1, names, decay=DECAY
            )
            x = layers.AveragePooling2D(
                2, data_format="channels_last", name=names("average_pooling2d")
            )(x)
        for _ in range(variant.depth):
            x = _layer(x, variant, names)
    x = average_pool(_activate(x, names), names("global_average_pooling2d"))
    return output_layer(x, num_outputs, classifier, name=names("dense"))


def _layer(x: KerasTensor, variant: Variant, names: AutomaticNames) -> KerasTensor:
    y = _activate(x, names)
    if variant.bottleneck:
        y = _activate(_convolution(y, 4 * variant.growth, 1, names, decay=DECAY), names)
    y = _convolution(y, variant.growth, 3, names)
    return layers.Concatenate(name=names("concatenate"))([x, y])


def _activate(x: KerasTensor, names: AutomaticNames) -> KerasTensor:
    x = batch_normalization(names("batch_normalization"), epsilon=1.1e-5)(x)
    return layers.Activation("relu", name=names("activation"))(x)


def _convolution(
    x: KerasTensor, channels: int, size: int, names: AutomaticNames, decay: float = 0.0
) -> KerasTensor:
    return conv2d(
        channels,
        size,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        kernel_regularizer=regularizers.L2(decay) if decay else None,
        name=names("conv2d"),
    )(x)


for _name, _variant in VARIANTS.items():
    BACKBONES.register(_name)(partial(densenet, variant=_variant))
