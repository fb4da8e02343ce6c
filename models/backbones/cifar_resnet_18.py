"""ResNet-18 for images of 32 pixels: 512 features without a pooling at the start.

Source: He et al., Deep Residual Learning for Image Recognition (CVPR 2016),
https://arxiv.org/abs/1512.03385, in the form that is usual for CIFAR in PyTorch.
"""

from keras import KerasTensor, layers

from models.layers.batch_normalization import PYTORCH, batch_normalization
from models.layers.convolution import conv2d
from models.layers.dense_maps import torch_initializers
from models.layers.outputs import average_pool, output_layer
from models.registry import BACKBONES

CHANNELS = (64, 128, 256, 512)
BLOCKS = 2


@BACKBONES.register("cifar-resnet-18")
def cifar_resnet_18(x: KerasTensor, num_outputs: int | None, classifier: bool) -> KerasTensor:
    """Build four stages of two basic blocks, the last three of them with half the side each."""
    x = layers.ReLU()(_convolution(x, CHANNELS[0], 3, 1, "1"))
    for stage, channels in enumerate(CHANNELS, start=1):
        for block in range(1, BLOCKS + 1):
            stride = 2 if stage > 1 and block == 1 else 1
            x = _block(x, channels, stride, f"{stage}_{block}")
    x = average_pool(x)
    options = torch_initializers(x.shape[-1])
    return output_layer(x, num_outputs, classifier, features_fit=True, **options)


def _block(x: KerasTensor, channels: int, stride: int, label: str) -> KerasTensor:
    y = layers.ReLU()(_convolution(x, channels, 3, stride, f"{label}_1"))
    y = _convolution(y, channels, 3, 1, f"{label}_2")
    if stride > 1 or x.shape[-1] != channels:
        x = _convolution(x, channels, 1, stride, f"{label}_shortcut")
    return layers.ReLU()(layers.Add()([y, x]))


def _convolution(x: KerasTensor, channels: int, size: int, stride: int, label: str) -> KerasTensor:
    kernel = torch_initializers(size * size * x.shape[-1])["kernel_initializer"]
    if size > 1:
        # One pixel on every side; "same" would pad even images at the bottom and right only.
        x = layers.ZeroPadding2D(1, data_format="channels_last")(x)
    x = conv2d(
        *(channels, size, stride),
        use_bias=False,
        kernel_initializer=kernel,
        name=f"conv{label}",
    )(x)
    return batch_normalization(f"bn{label}", **PYTORCH)(x)
