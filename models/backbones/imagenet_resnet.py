"""ResNets with 18 to 200 layers, without biases, as in keras-resnet 0.2.0 or torchvision.

Source: He et al., Deep Residual Learning for Image Recognition (CVPR 2016),
https://arxiv.org/abs/1512.03385.
"""

from functools import partial

from keras import KerasTensor, initializers, layers

from models.backbones.resnet import (
    Style,
    Variant,
    bottleneck,
    branch,
    lettered,
    numbered,
    residual_network,
)
from models.layers.batch_normalization import PYTORCH
from models.registry import BACKBONES

KERAS_RESNET = Style(
    use_bias=False,
    epsilon=1e-5,
    first_initializer="glorot_uniform",
    initializer="he_normal",
    padded_stem=False,
    classifier=("pool5", "fc1000"),
)

HE_FAN_OUT = initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")
TORCHVISION = Style(
    use_bias=False,
    **PYTORCH,
    first_initializer=HE_FAN_OUT,
    initializer=HE_FAN_OUT,
    strided_3x3=True,
)


def basic(
    x: KerasTensor, channels: int, stride: int, project: bool, label: str, style: Style
) -> KerasTensor:
    """Build a block of two 3x3 convolutions; the first has the stride.

    The first block of every stage projects its shortcut, even if the shape stays the same.
    """
    y = layers.ReLU()(branch(x, channels, 3, stride, label, 1, style))
    y = branch(y, channels, 3, 1, label, 2, style)
    x = style.conv.basic_shortcut(x, stride)
    if project:
        x = branch(x, channels, 1, stride, label, 0, style)
    return layers.ReLU()(layers.Add()([y, x]))


def middle_numbered(stage: int, index: int) -> str:
    """Number the blocks of the two middle stages; name those of the others by letters."""
    return numbered(stage, index) if stage in (3, 4) else lettered(stage, index)


VARIANTS = {
    "rn18": Variant((2, 2, 2, 2), basic, numbered, KERAS_RESNET),
    "rn34": Variant((3, 4, 6, 3), basic, numbered, KERAS_RESNET),
    "rn50": Variant((3, 4, 6, 3), bottleneck, lettered, KERAS_RESNET),
    "rn101": Variant((3, 4, 23, 3), bottleneck, middle_numbered, KERAS_RESNET),
    "rn152": Variant((3, 8, 36, 3), bottleneck, middle_numbered, KERAS_RESNET),
    "rn200": Variant((3, 24, 36, 3), bottleneck, middle_numbered, KERAS_RESNET),
    "resnet-50-v1.5": Variant((3, 4, 6, 3), bottleneck, lettered, TORCHVISION),
}

for _name, _variant in VARIANTS.items():
    BACKBONES.register(_name)(partial(residual_network, variant=_variant))
