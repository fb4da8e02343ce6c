"""Improved residual networks for 112x112 face images: iresnet-50 and iresnet-100.

Source: Duta et al., Improved Residual Networks for Image and Video Recognition,
https://arxiv.org/abs/2004.04989; as in the code of Deng et al., ArcFace (CVPR 2019),
https://arxiv.org/abs/1801.07698.
"""

from functools import partial

from keras import KerasTensor, initializers, layers

from models.layers.batch_normalization import PYTORCH, batch_normalization
from models.layers.convolver import ORDINARY, Convolver, normalized_convolution
from models.layers.dense_maps import dense_on_map, torch_initializers
from models.layers.outputs import output_layer
from models.registry import BACKBONES

CHANNELS = (64, 128, 256, 512)
FEATURES = 512
SIDE = 7  # height and width of the last feature map of 112x112 images

VARIANTS = {"iresnet-50": (3, 4, 14, 3), "iresnet-100": (3, 13, 30, 3)}
"""Number of blocks in each stage."""

_convolution = partial(normalized_convolution, initializer=initializers.RandomNormal(0.0, 0.1))


def iresnet(
    x: KerasTensor,
    num_outputs: int | None,
    classifier: bool,
    conv: Convolver = ORDINARY,
    *,
    blocks: tuple[int, ...],
) -> KerasTensor:
    """Build four stages that each halve height and width; a dense layer on the last map."""
    x = _prelu(_convolution(x, CHANNELS[0], 3, 1, "1", conv, first=True), "prelu1")
    for stage, (channels, count) in enumerate(zip(CHANNELS, blocks, strict=True), start=1):
        for block in range(1, count + 1):
            x = _block(x, channels, 2 if block == 1 else 1, f"{stage}_{block}", conv)
    x = dense_on_map(batch_normalization("bn2", **PYTORCH)(x), FEATURES, (SIDE, SIDE))
    # ArcFace's code fixes gamma at 1.
    x = batch_normalization("features", scale=False, dtype="float32", **PYTORCH)(x)
    options = torch_initializers(FEATURES)
    return output_layer(x, num_outputs, classifier, features_fit=True, **options)


def _block(x: KerasTensor, channels: int, stride: int, label: str, conv: Convolver) -> KerasTensor:
    y = batch_normalization(f"bn{label}_0", **PYTORCH)(x)
    y = _prelu(_convolution(y, channels, 3, 1, f"{label}_1", conv), f"prelu{label}")
    y = _convolution(y, channels, 3, stride, f"{label}_2", conv)
    if stride > 1:
        x = _convolution(x, channels, 1, stride, f"{label}_shortcut", conv)
    return layers.Add()([y, x])


def _prelu(x: KerasTensor, name: str) -> KerasTensor:
    """Apply a PReLU with one slope per channel."""
    return layers.PReLU(initializers.Constant(0.25), shared_axes=[1, 2], name=name)(x)


for _name, _blocks in VARIANTS.items():
    BACKBONES.register(_name)(partial(iresnet, blocks=_blocks))
