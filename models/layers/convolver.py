"""Convolutions of residual networks: ordinary, full or harmonic, throughout a network."""

from dataclasses import dataclass

from keras import KerasTensor, layers
from keras.initializers import Initializer

from models.layers.batch_normalization import PYTORCH, batch_normalization
from models.layers.convolution import conv2d
from models.layers.harmonic import HarmonicConv2D, normalized_block


def pad(x: KerasTensor, pixels: int, name: str | None = None) -> KerasTensor:
    """Zero-pad feature maps on every side."""
    return layers.ZeroPadding2D(pixels, data_format="channels_last", name=name)(x)


@dataclass(frozen=True)
class Convolver:
    """Kind of convolution used throughout a network.

    Full convolutions apply every kernel value to every pixel, so feature maps grow by the kernel
    size minus one: Kayhan and van Gemert, On Translation Invariance in CNNs (CVPR 2020),
    https://arxiv.org/abs/2003.07064. For harmonic ones, see ``models.layers.harmonic``.
    """

    full: bool = False
    harmonic: bool = False
    level: int | None = None  # harmonic level of all layers but the first; None: all waves

    def __call__(
        self,
        x: KerasTensor,
        filters: int,
        size: int,
        stride: int = 1,
        padding: str | int = "same",
        *,
        first: bool = False,
        **options: object,
    ) -> KerasTensor:
        """Convolve channels-last feature maps.

        Args:
            x: feature maps.
            filters: number of output channels.
            size: height and width of the kernel; 1x1 convolutions are always ordinary and unpadded.
            stride: stride in both directions.
            padding: TensorFlow's ``"same"``, which with a stride pads maps of even size only at the
                bottom and right; or a number of pixels on every side.
            first: whether this is the first layer of the network.
            options: further options of ``models.layers.convolution.conv2d``.
        """
        if self.full and size > 1:
            padding = size - 1
        if padding != "same":
            x, padding = pad(x, padding) if padding and size > 1 else x, "valid"
        if not self.harmonic or size == 1:
            return conv2d(filters, size, stride, padding=padding, **options)(x)
        if first:
            return normalized_block(x, filters, size, stride, padding, **options)
        kept = {name: options[name] for name in ("name", "kernel_regularizer") if name in options}
        layer = HarmonicConv2D(
            filters, size, stride, padding, level=self.level, data_format="channels_last", **kept
        )
        return layer(x)

    def shortcut(self, x: KerasTensor, pixels: int) -> KerasTensor:
        """Pad the input of a shortcut as much as full convolutions enlarge the other branch.

        Args:
            x: input of a block.
            pixels: padding on every side, before the stride.
        """
        return pad(x, pixels) if self.full else x

    def basic_shortcut(self, x: KerasTensor, stride: int) -> KerasTensor:
        """Pad the input of a shortcut around two 3x3 convolutions, the first with the stride."""
        return self.shortcut(x, 3 if stride > 1 else 2)


ORDINARY = Convolver()


def normalized_convolution(
    x: KerasTensor,
    channels: int,
    size: int,
    stride: int,
    label: str,
    conv: Convolver,
    first: bool = False,
    *,
    initializer: Initializer,
) -> KerasTensor:
    """Apply a convolution without bias, padded by 1 pixel, and PyTorch's batch normalization.

    Args:
        x: channels-last feature maps.
        channels: number of output channels.
        size: height and width of the kernel.
        stride: stride in both directions.
        label: suffix of the layer names, after ``conv`` and ``bn``.
        conv: kind of convolution.
        first: whether this is the first layer of the network.
        initializer: initializer of the kernel.
    """
    x = conv(
        x,
        channels,
        size,
        stride,
        padding=1,
        first=first,
        use_bias=False,
        kernel_initializer=initializer,
        name=f"conv{label}",
    )
    return batch_normalization(f"bn{label}", **PYTORCH)(x)
