"""ResNet-50, -101 and -152 as keras.applications had them in the days of Keras 2.

Unlike today's ``keras.applications.ResNet50``: he_normal initialization, batch normalization with
epsilon 1e-3, and layer names that fit the weights published then.

Source: He et al., Deep Residual Learning for Image Recognition (CVPR 2016),
https://arxiv.org/abs/1512.03385.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from keras import KerasTensor, layers

from models.layers.batch_normalization import batch_normalization
from models.layers.convolution import conv2d
from models.layers.outputs import average_pool, output_layer
from models.registry import BACKBONES

STAGE_CHANNELS = (64, 128, 256, 512)

BLOCKS = {
    "resnet-50": (3, 4, 6, 3),
    "resnet-101": (3, 4, 23, 3),
    "resnet-152": (3, 8, 36, 3),
}


class ConvStyle(NamedTuple):
    """How the convolutions of a network are made.

    Attributes:
        use_bias: whether they have a bias.
        epsilon: of the batch normalization that follows.
    """

    use_bias: bool
    epsilon: float


KERAS_2 = ConvStyle(use_bias=True, epsilon=1e-3)


def residual_network(
    x: KerasTensor,
    num_outputs: int,
    classifier: bool,
    *,
    blocks: tuple[int, ...],
    block: Callable,
    style: ConvStyle,
) -> KerasTensor:
    """A residual network for ImageNet.

    Args:
        x: normalized images.
        num_outputs: number of classes or dimensions of the embedding.
        classifier: whether it ends in the softmax layer.
        blocks: number of blocks in each of the four stages.
        block: ``bottleneck`` or a function like it.
        style: how convolutions are made.
    """
    x = layers.ZeroPadding2D(3, data_format="channels_last", name="conv1_pad")(x)
    x = convolution(x, 64, 7, 2, "conv1", "bn_conv1", style)
    x = layers.ReLU()(x)
    x = layers.ZeroPadding2D(1, data_format="channels_last", name="pool1_pad")(x)
    x = layers.MaxPooling2D(3, 2, data_format="channels_last", name="pool1")(x)
    for stage, channels in enumerate(STAGE_CHANNELS):
        for index, label in enumerate(block_labels(stage, blocks)):
            stride = 2 if stage > 0 and index == 0 else 1
            x = block(x, channels, stride, index == 0, label, style)
    return output_layer(average_pool(x), num_outputs, classifier)


def block_labels(stage: int, blocks: tuple[int, ...]) -> list[str]:
    """The names of a stage's blocks: 2a, 2b, 2c, or 4a, 4b1, 4b2 in the networks beyond 50 layers.

    The alphabet is too short for those, so their middle stages are numbered, as in the weights
    that the authors published.
    """
    count = blocks[stage]
    if stage in (1, 2) and blocks[2] > 6:
        return [f"{stage + 2}a"] + [f"{stage + 2}b{i}" for i in range(1, count)]
    return [f"{stage + 2}{chr(ord('a') + i)}" for i in range(count)]


def bottleneck(
    x: KerasTensor, channels: int, stride: int, project: bool, label: str, style: ConvStyle
) -> KerasTensor:
    """A block of 1x1, 3x3 and 1x1 convolutions; the first of them has the stride."""
    y = labelled(x, channels, 1, stride, label, "2a", style)
    y = layers.ReLU()(y)
    y = labelled(y, channels, 3, 1, label, "2b", style)
    y = layers.ReLU()(y)
    y = labelled(y, 4 * channels, 1, 1, label, "2c", style)
    if project:
        x = labelled(x, 4 * channels, 1, stride, label, "1", style)
    return layers.ReLU()(layers.Add()([y, x]))


def labelled(
    x: KerasTensor,
    channels: int,
    size: int,
    stride: int,
    label: str,
    branch: str,
    style: ConvStyle,
) -> KerasTensor:
    """The convolution of one branch of one block, with its batch normalization."""
    name = f"{label}_branch{branch}"
    return convolution(x, channels, size, stride, f"res{name}", f"bn{name}", style)


def convolution(
    x: KerasTensor, channels: int, size: int, stride: int, name: str, norm: str, style: ConvStyle
) -> KerasTensor:
    """A convolution and its batch normalization; only 3x3 convolutions pad their input."""
    if size == 3 and stride > 1:
        # One pixel on every side; "same" would pad even images at the bottom and right only.
        x = layers.ZeroPadding2D(1, data_format="channels_last")(x)
    x = conv2d(
        channels,
        size,
        stride,
        padding="same" if size == 3 and stride == 1 else "valid",
        use_bias=style.use_bias,
        kernel_initializer="he_normal",
        name=name,
    )(x)
    return batch_normalization(norm, epsilon=style.epsilon)(x)


for _name, _blocks in BLOCKS.items():
    BACKBONES.register(_name)(
        partial(residual_network, blocks=_blocks, block=bottleneck, style=KERAS_2)
    )
