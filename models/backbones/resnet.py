"""ResNet-50, -101 and -152 in the versions of Keras that the published code used.

ResNet-50 follows ``keras.applications`` of Keras 2: he_normal initialization, batch normalization
with epsilon 1e-3, and the layer names of the weights published then. The deeper two follow the
newer ``keras_applications.resnet``, as ``keras.applications.ResNet101`` still does.

Source: He et al., Deep Residual Learning for Image Recognition (CVPR 2016),
https://arxiv.org/abs/1512.03385.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from keras import KerasTensor, layers
from keras.initializers import Initializer

from models.layers.batch_normalization import batch_normalization
from models.layers.convolver import ORDINARY, Convolver, pad
from models.layers.outputs import average_pool, output_layer
from models.registry import BACKBONES

STAGE_CHANNELS = (64, 128, 256, 512)


class Style(NamedTuple):
    """Layers and layer names of the ResNets of one package."""

    use_bias: bool  # whether convolutions have a bias
    epsilon: float  # epsilon of batch normalization
    first_initializer: str | Initializer  # kernel initializer of the first convolution
    initializer: str | Initializer  # kernel initializer of all others
    # Whether to pad the image by 3 pixels and the maps before pooling by 1; otherwise both are
    # padded by TensorFlow's "same"
    padded_stem: bool = True
    # Names of the first convolution and its batch normalization
    stem: tuple[str, str] = ("conv1", "bn_conv1")
    # The same of all others, with placeholders for block and branch
    branch: tuple[str, str] = ("res{}_branch{}", "bn{}_branch{}")
    # Names of the shortcut and of the convolutions of a block
    branches: tuple[str, str, str, str] = ("1", "2a", "2b", "2c")
    # Names of pooling and output layer of a classifier
    classifier: tuple[str, str] = ("avg_pool", "prob")
    momentum: float = 0.99  # momentum of batch normalization
    strided_3x3: bool = False  # whether the 3x3 convolution of a bottleneck has the stride
    conv: Convolver = ORDINARY


class Variant(NamedTuple):
    """Settings of one network of the family."""

    blocks: tuple[int, int, int, int]  # number of blocks in each of the four stages
    block: Callable  # bottleneck or a function like it
    # Name of a block from its stage (2…5) and its index in the stage (0…)
    label: Callable[[int, int], str]
    style: Style


def lettered(stage: int, index: int) -> str:
    """Name blocks 2a, 2b, 2c."""
    return f"{stage}{chr(ord('a') + index)}"


def numbered(stage: int, index: int) -> str:
    """Name blocks 2a, 2b1, 2b2, for any number of blocks."""
    return f"{stage}b{index}" if index else f"{stage}a"


def block_numbered(stage: int, index: int) -> str:
    """Name blocks conv2_block1, conv2_block2."""
    return f"conv{stage}_block{index + 1}"


def residual_network(
    x: KerasTensor,
    num_outputs: int | None,
    classifier: bool,
    conv: Convolver = ORDINARY,
    *,
    variant: Variant,
) -> KerasTensor:
    """Build a residual network for ImageNet, given normalized images."""
    style = variant.style._replace(conv=conv)
    x = _stem(x, style)
    for stage, (channels, count) in enumerate(
        zip(STAGE_CHANNELS, variant.blocks, strict=True), start=2
    ):
        for index in range(count):
            stride = 2 if stage > 2 and index == 0 else 1
            x = variant.block(x, channels, stride, index == 0, variant.label(stage, index), style)
    pool, output = style.classifier if classifier else ("avg_pool", "embedding")
    return output_layer(average_pool(x, pool), num_outputs, classifier, name=output)


def _stem(x: KerasTensor, style: Style) -> KerasTensor:
    padding, padded = "same", style.padded_stem and not style.conv.full
    if padded:
        x, padding = pad(x, 3, "conv1_pad"), 0
    x = _convolution(
        x,
        channels=64,
        size=7,
        stride=2,
        names=style.stem,
        style=style,
        padding=padding,
        initializer=style.first_initializer,
        first=True,
    )
    x = layers.ReLU()(x)
    if padded:
        x = pad(x, 1, "pool1_pad")
    size, padding = (3, "valid" if padded else "same")
    if style.conv.full:
        size, padding = 2, "valid"
    return layers.MaxPooling2D(size, 2, padding, data_format="channels_last", name="pool1")(x)


def bottleneck(
    x: KerasTensor, channels: int, stride: int, project: bool, label: str, style: Style
) -> KerasTensor:
    """Build a block of 1x1, 3x3 and 1x1 convolutions; the first or second has the stride."""
    first, second = (1, stride) if style.strided_3x3 else (stride, 1)
    y = layers.ReLU()(branch(x, channels, 1, first, label, 1, style))
    y = layers.ReLU()(branch(y, channels, 3, second, label, 2, style))
    y = branch(y, 4 * channels, 1, 1, label, 3, style)
    x = style.conv.shortcut(x, first)
    if project:
        x = branch(x, 4 * channels, 1, stride, label, 0, style)
    return layers.ReLU()(layers.Add()([y, x]))


def branch(
    x: KerasTensor, channels: int, size: int, stride: int, label: str, position: int, style: Style
) -> KerasTensor:
    """Apply a convolution of a block and its batch normalization; 3x3 ones are padded by 1 pixel.

    ``position`` is 0 for the shortcut, 1…3 for the other convolutions.
    """
    names = tuple(name.format(label, style.branches[position]) for name in style.branch)
    padding = "same" if size > 1 and stride == 1 else 1
    return _convolution(
        x, channels, size, stride, names, style, padding=padding, initializer=style.initializer
    )


def _convolution(
    x: KerasTensor,
    channels: int,
    size: int,
    stride: int,
    names: tuple[str, str],
    style: Style,
    *,
    padding: str | int,
    initializer: str | Initializer,
    first: bool = False,
) -> KerasTensor:
    x = style.conv(
        x,
        channels,
        size,
        stride,
        padding,
        first=first,
        use_bias=style.use_bias,
        kernel_initializer=initializer,
        name=names[0],
    )
    return batch_normalization(names[1], momentum=style.momentum, epsilon=style.epsilon)(x)


KERAS_2 = Style(True, 1e-3, "he_normal", "he_normal")
KERAS_APPLICATIONS = Style(
    use_bias=True,
    epsilon=1.001e-5,
    first_initializer="glorot_uniform",
    initializer="glorot_uniform",
    stem=("conv1_conv", "conv1_bn"),
    branch=("{}_{}_conv", "{}_{}_bn"),
    branches=("0", "1", "2", "3"),
)

VARIANTS = {
    "resnet-50": Variant((3, 4, 6, 3), bottleneck, lettered, KERAS_2),
    "resnet-101": Variant((3, 4, 23, 3), bottleneck, block_numbered, KERAS_APPLICATIONS),
    "resnet-152": Variant((3, 8, 36, 3), bottleneck, block_numbered, KERAS_APPLICATIONS),
}

for _name, _variant in VARIANTS.items():
    BACKBONES.register(_name)(partial(residual_network, variant=_variant))
