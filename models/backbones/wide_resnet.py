"""Wide residual networks: fewer layers than ResNet-110, eight or ten times the channels.

Source: Zagoruyko and Komodakis, Wide Residual Networks (BMVC 2016),
https://arxiv.org/abs/1605.07146; layer names, and no L2 penalties, as in the Keras code that Barz
and Denzler used.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

from keras import KerasTensor, initializers, layers

from models.backbones.automatic_names import AutomaticNames
from models.layers.batch_normalization import PYTORCH, batch_normalization
from models.layers.convolver import ORDINARY, Convolver
from models.layers.outputs import average_pool, output_layer
from models.registry import BACKBONES


def _of_keras_port() -> dict[str, object]:
    # Torch's momentum, the weight of the new statistics. Keras weights the old ones, so the moving
    # averages are almost those of the last batch, as in the published code.
    gamma = initializers.RandomUniform(-0.05, 0.05)
    return {"momentum": 0.1, "epsilon": 1e-5, "gamma_initializer": gamma}


def _of_paper() -> Mapping[str, object]:
    return PYTORCH


class Variant(NamedTuple):
    """Settings of one network of the family."""

    blocks: int  # per unit
    width: int  # multiplies the channels 16, 32, 64 of the units
    # Function that returns the options of each batch normalization
    norm: Callable[[], Mapping[str, object]] = _of_keras_port
    padding: str | int = "same"  # of 3x3 convolutions


VARIANTS = {
    "wrn-28-10": Variant(blocks=4, width=10),
    "wrn-16-8": Variant(blocks=2, width=8, norm=_of_paper, padding=1),
}


def wide_resnet(
    x: KerasTensor,
    num_outputs: int | None,
    classifier: bool,
    conv: Convolver = ORDINARY,
    *,
    variant: Variant,
) -> KerasTensor:
    """Build a residual network with batch normalization and ReLU before all but its first layer."""
    build = _Layers(conv, variant)
    x = build.activate(build.convolution(x, 16, 3, 1, first=True))
    for unit, channels in enumerate((16, 32, 64)):
        x = build.first_block(x, channels * variant.width, 2 if unit else 1)
        for _ in range(variant.blocks - 1):
            x = build.block(x)
        x = build.activate(x)
    x = average_pool(x, build.names("global_average_pooling2d"))
    return output_layer(x, num_outputs, classifier)


class _Layers:
    """The layers of one network, numbered by kind."""

    def __init__(self, conv: Convolver, variant: Variant):
        self.conv = conv
        self.norm = variant.norm
        self.padding = variant.padding
        self.names = AutomaticNames()

    def first_block(self, x: KerasTensor, channels: int, stride: int) -> KerasTensor:
        y = self.activate(self.convolution(x, channels, 3, stride))
        y = self.convolution(y, channels, 3, 1)
        x = self.convolution(self.conv.basic_shortcut(x, stride), channels, 1, stride)
        return layers.Add(name=self.names("add"))([y, x])

    def block(self, x: KerasTensor) -> KerasTensor:
        y = x
        for _ in range(2):
            y = self.convolution(self.activate(y), x.shape[-1], 3, 1)
        return layers.Add(name=self.names("add"))([self.conv.basic_shortcut(x, 1), y])

    def activate(self, x: KerasTensor) -> KerasTensor:
        x = batch_normalization(self.names("batch_normalization"), **self.norm())(x)
        return layers.Activation("relu", name=self.names("activation"))(x)

    def convolution(
        self, x: KerasTensor, channels: int, size: int, stride: int, first: bool = False
    ) -> KerasTensor:
        return self.conv(
            x,
            channels,
            size,
            stride,
            self.padding,
            first=first,
            use_bias=False,
            kernel_initializer="he_normal",
            name=self.names("conv2d"),
        )


for _name, _variant in VARIANTS.items():
    BACKBONES.register(_name)(partial(wide_resnet, variant=_variant))
