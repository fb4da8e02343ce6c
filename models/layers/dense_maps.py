"""Dense layers on entire feature maps, and PyTorch's default initializers."""

import math

from keras import KerasTensor, initializers

from models.layers.convolution import conv2d
from models.layers.outputs import average_pool

DENSE_ON_MAP = "fc"
"""Name of the layer that turns the last feature map of a backbone into features."""

TORCH_KERNEL = initializers.VarianceScaling(1 / 3, "fan_in", "uniform")
"""PyTorch's default for kernels: uniform in ± 1 / sqrt(fan_in)."""


def dense_on_map(
    x: KerasTensor, units: int, sides: tuple[int, int], name: str = DENSE_ON_MAP
) -> KerasTensor:
    """Apply a dense layer to an entire feature map; returns float32 (batch, units).

    It is implemented as a convolution with a kernel of the map's size, so that larger images are
    possible, too; their outputs are averaged over all positions.

    Args:
        x: feature map.
        units: number of outputs.
        sides: height and width of the map for images of the intended size.
        name: name of the layer.
    """
    options = torch_initializers(math.prod(sides) * x.shape[-1])
    x = conv2d(units, sides, padding="valid", name=name, **options)(x)
    return average_pool(x, f"{name}_places")


def torch_initializers(fan_in: int) -> dict[str, initializers.Initializer]:
    """Return the initializers of kernel and bias, both uniform within ± 1 / sqrt(fan_in)."""
    limit = fan_in**-0.5
    return {
        "kernel_initializer": TORCH_KERNEL,
        "bias_initializer": initializers.RandomUniform(-limit, limit),
    }
