"""Convolutions of maps of a few pixels, as matrix products.

On a CPU, TensorFlow needs several times as long for a convolution of 2x2 or 4x4 pixels and its
gradients as for matrix products of the same size; no issue is known. The last two stages of a
ResNet-18 for images of 64 pixels consist of such convolutions and would take most of its time.
"""

import math
from functools import cache

import numpy as np
from keras import KerasTensor

MOST_INPUTS, MOST_OUTPUTS = 64, 16
"""Pixels of the largest maps that are convolved in this way."""


def kernel_taps(side: int, size: int, stride: int, padding: str) -> np.ndarray:
    """Return which inputs a one-dimensional kernel reads at each position.

    Args:
        side: number of inputs.
        size: height and width of the kernel.
        stride: step between output positions, in pixels.
        padding: ``"same"`` or ``"valid"``, as in TensorFlow.

    Returns:
        Boolean array of shape (outputs, size, side), where nothing is read from the padding.
    """
    outputs = math.ceil((side if padding == "same" else side - size + 1) / stride)
    before = max((outputs - 1) * stride + size - side, 0) // 2 if padding == "same" else 0
    taps = stride * np.arange(outputs)[:, None] + np.arange(size) - before
    return taps[..., None] == np.arange(side)


@cache
def _on_cpu() -> bool:
    import tensorflow as tf

    return not tf.config.list_physical_devices("GPU")


def is_small(
    sides: tuple[int | None, ...], sizes: tuple[int, ...], strides: tuple[int, ...], padding: str
) -> bool:
    """Tell whether maps are small enough for ``convolve`` to be faster, and on a CPU.

    Args:
        sides: height and width of the maps.
        sizes: height and width of the kernel.
        strides: vertical and horizontal.
        padding: ``"same"`` or ``"valid"``.
    """
    if None in sides or math.prod(sides) > MOST_INPUTS:
        return False
    axes = zip(sides, sizes, strides, strict=True)
    outputs = math.prod(len(kernel_taps(*axis, padding)) for axis in axes)
    return outputs <= MOST_OUTPUTS and _on_cpu()


def convolve(
    inputs: KerasTensor, kernel: KerasTensor, strides: tuple[int, int], padding: str
) -> KerasTensor:
    """Convolve TensorFlow maps: collect what the kernel reads at every position, then weight it.

    Args:
        inputs: maps of known size, (batch, height, width, channels).
        kernel: weights, (height, width, input channels, output channels).
        strides: vertical and horizontal.
        padding: ``"same"`` or ``"valid"``.
    """
    import tensorflow as tf

    sides, channels = inputs.shape[1:3], inputs.shape[3]
    axes = zip(sides, kernel.shape[:2], strides, strict=True)
    rows, columns = (kernel_taps(*axis, padding) for axis in axes)
    collect = np.einsum("aiy,bjx->abijyx", rows, columns).reshape(-1, math.prod(sides))
    pixels = tf.reshape(inputs, (-1, math.prod(sides), channels))
    read = tf.matmul(tf.constant(collect, inputs.dtype), pixels)
    weights = tf.reshape(kernel, (-1, kernel.shape[3]))
    outputs = tf.matmul(tf.reshape(read, (-1, weights.shape[0])), weights)
    return tf.reshape(outputs, (-1, len(rows), len(columns), weights.shape[1]))
