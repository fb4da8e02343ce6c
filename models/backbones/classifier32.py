"""Classifier32: nine convolutions with dropout, for open-set recognition on 32x32 images.

Source: Neal et al., Open Set Learning with Counterfactual Images (ECCV 2018); as in the code of
Chen et al., https://arxiv.org/abs/2103.00953.
"""

from keras import KerasTensor, initializers, layers

from models.layers.batch_normalization import PYTORCH, batch_normalization
from models.layers.convolution import conv2d
from models.layers.dense_maps import torch_initializers
from models.layers.outputs import average_pool, output_layer
from models.registry import BACKBONES

STAGES = ((64, 64, 128), (128, 128, 128), (128, 128, 128))
DROPOUT = 0.2


@BACKBONES.register("classifier32")
def classifier32(x: KerasTensor, num_outputs: int | None, classifier: bool) -> KerasTensor:
    """Build three stages, each of spatial dropout (of the image, too) and three convolutions."""
    for stage, widths in enumerate(STAGES, start=1):
        x = layers.SpatialDropout2D(DROPOUT, data_format="channels_last")(x)
        for part, channels in enumerate(widths, start=1):
            x = _convolution(x, channels, 2 if part == 3 else 1, f"{stage}_{part}")
    x = average_pool(x)
    options = torch_initializers(x.shape[-1])
    return output_layer(x, num_outputs, classifier, features_fit=True, use_bias=False, **options)


def _convolution(x: KerasTensor, channels: int, stride: int, label: str) -> KerasTensor:
    # One pixel on every side; strided "same" would pad even sizes at the bottom and right only.
    x = layers.ZeroPadding2D(1, data_format="channels_last")(x)
    x = conv2d(
        channels,
        3,
        stride,
        use_bias=False,
        kernel_initializer=initializers.RandomNormal(0.0, 0.05),
        name=f"conv{label}",
    )(x)
    gamma = initializers.RandomNormal(1.0, 0.02)
    x = batch_normalization(f"bn{label}", gamma_initializer=gamma, **PYTORCH)(x)
    return layers.LeakyReLU(0.2)(x)
