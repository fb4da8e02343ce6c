"""Residual networks for small images: resnet-32, resnet-110 and its variants.

Source: He et al., Deep Residual Learning for Image Recognition (CVPR 2016), section 4.2,
https://arxiv.org/abs/1512.03385; "-fc" and "-wfc" (wider) as in Barz and Denzler (WACV 2019).
"""

from functools import partial
from typing import NamedTuple

from keras import KerasTensor, layers, regularizers

from models.layers.batch_normalization import batch_normalization
from models.layers.channels import pad_channels
from models.layers.convolver import ORDINARY, Convolver
from models.layers.outputs import average_pool, output_layer
from models.registry import BACKBONES

DECAY = 2e-4


class Variant(NamedTuple):
    """Settings of one network of the family."""

    blocks: int  # blocks in each of the three units
    channels: tuple[int, int, int]  # channels of each unit
    # Whether embeddings always come from a dense layer; otherwise, pooled features of the right
    # dimension are the embedding
    dense: bool
    activation: str = "relu"  # after every batch normalization
    conv: Convolver = ORDINARY


VARIANTS = {
    "resnet-32": Variant(5, (16, 32, 64), dense=False),
    "resnet-110": Variant(18, (16, 32, 64), dense=False),
    "resnet-110-fc": Variant(18, (16, 32, 64), dense=True),
    "resnet-110-wfc": Variant(18, (32, 64, 128), dense=True),
}
VARIANTS |= {
    f"{name}-selu": variant._replace(activation="selu") for name, variant in VARIANTS.items()
}


def cifar_resnet(
    x: KerasTensor,
    num_outputs: int | None,
    classifier: bool,
    conv: Convolver = ORDINARY,
    *,
    variant: Variant,
) -> KerasTensor:
    """Build a residual network with parameter-free shortcuts."""
    variant = variant._replace(conv=conv)
    channels = variant.channels
    pooled = not classifier and not variant.dense and num_outputs in (None, channels[-1])
    x = _convolution(x, channels[0], "conv0", "bn0", conv, first=True)
    x = layers.Activation(variant.activation)(x)
    for unit, width in enumerate(channels, start=1):
        for block in range(1, variant.blocks + 1):
            stride = 2 if unit > 1 and block == 1 else 1
            x = _block(x, width, stride, f"{unit}-{block}", variant)
    x = average_pool(x)
    return x if pooled else output_layer(x, num_outputs, classifier, decay=DECAY)


def _block(x: KerasTensor, channels: int, stride: int, label: str, variant: Variant) -> KerasTensor:
    conv = variant.conv
    y = _convolution(x, channels, f"res{label}x", f"bn{label}x", conv, stride)
    y = layers.Activation(variant.activation)(y)
    y = _convolution(y, channels, f"res{label}y", f"bn{label}y", conv)
    y = layers.Add()([y, shortcut(conv.basic_shortcut(x, stride), channels, stride)])
    return layers.Activation(variant.activation)(y)


def shortcut(x: KerasTensor, channels: int, stride: int) -> KerasTensor:
    """Bring ``x`` to the shape of its block's output by average pooling and channels of zeros.

    Zeros are added before and after the channels; of an odd number, one more after them.
    """
    if stride > 1:
        # "same", like the parallel convolution: both round odd sizes up.
        x = layers.AveragePooling2D(stride, padding="same", data_format="channels_last")(x)
    added = channels - x.shape[-1]
    return pad_channels(x, added // 2, added - added // 2) if added else x


def _convolution(
    x: KerasTensor,
    channels: int,
    name: str,
    norm: str,
    conv: Convolver,
    stride: int = 1,
    first: bool = False,
) -> KerasTensor:
    penalty = regularizers.L2(DECAY)
    x = conv(x, channels, 3, stride, first=first, kernel_regularizer=penalty, name=name)
    return batch_normalization(norm)(x)


for _name, _variant in VARIANTS.items():
    BACKBONES.register(_name)(partial(cifar_resnet, variant=_variant))
