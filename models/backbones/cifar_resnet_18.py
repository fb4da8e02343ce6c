"""ResNet-18 for 32x32 images, without pooling in the stem; it has 512 features.

Source: He et al., Deep Residual Learning for Image Recognition (CVPR 2016),
https://arxiv.org/abs/1512.03385, in the form commonly used for CIFAR in PyTorch.
"""

from functools import partial

from keras import KerasTensor, layers

from models.layers.convolver import ORDINARY, Convolver, normalized_convolution
from models.layers.dense_maps import TORCH_KERNEL, torch_initializers
from models.layers.outputs import average_pool, output_layer
from models.registry import BACKBONES

CHANNELS = (64, 128, 256, 512)
BLOCKS = 2

_convolution = partial(normalized_convolution, initializer=TORCH_KERNEL)


@BACKBONES.register("cifar-resnet-18")
def cifar_resnet_18(
    x: KerasTensor, num_outputs: int | None, classifier: bool, conv: Convolver = ORDINARY
) -> KerasTensor:
    """Build four stages of two basic blocks; all but the first stage halve height and width."""
    x = layers.ReLU()(_convolution(x, CHANNELS[0], 3, 1, "1", conv, first=True))
    for stage, channels in enumerate(CHANNELS, start=1):
        for block in range(1, BLOCKS + 1):
            stride = 2 if stage > 1 and block == 1 else 1
            x = _block(x, channels, stride, f"{stage}_{block}", conv)
    x = average_pool(x)
    options = torch_initializers(x.shape[-1])
    return output_layer(x, num_outputs, classifier, features_fit=True, **options)


def _block(x: KerasTensor, channels: int, stride: int, label: str, conv: Convolver) -> KerasTensor:
    y = layers.ReLU()(_convolution(x, channels, 3, stride, f"{label}_1", conv))
    y = _convolution(y, channels, 3, 1, f"{label}_2", conv)
    x = conv.basic_shortcut(x, stride)
    if stride > 1 or x.shape[-1] != channels:
        x = _convolution(x, channels, 1, stride, f"{label}_shortcut", conv)
    return layers.ReLU()(layers.Add()([y, x]))
