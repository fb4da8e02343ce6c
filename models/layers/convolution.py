"""Convolutions with few TensorFlow operations.

Keras 3 reshapes the bias and back before adding it, in the forward and backward pass
(https://github.com/keras-team/keras/pull/20386). In a network of 110 layers, this makes a thousand
operations, which delay the first step by seconds.
"""

import keras
from keras import KerasTensor

from models.layers import small_maps

PLAIN_ONLY = frozenset({"groups", "dilation_rate"})
"""Options that the faster convolution does not support."""


def convolve(
    inputs: KerasTensor, kernel: KerasTensor, strides: tuple[int, int], padding: str
) -> KerasTensor:
    """Convolve channels-last TensorFlow maps in the faster of two ways.

    Args:
        inputs: maps.
        kernel: weights, (height, width, input channels, output channels).
        strides: vertical and horizontal.
        padding: ``"same"`` or ``"valid"``.
    """
    import tensorflow as tf

    if small_maps.is_small(inputs.shape[1:3], kernel.shape[:2], strides, padding):
        return small_maps.convolve(inputs, kernel, strides, padding)
    return tf.raw_ops.Conv2D(
        input=inputs, filter=kernel, strides=(1, *strides, 1), padding=padding.upper()
    )


class Conv2D(keras.layers.Conv2D):
    """``keras.layers.Conv2D`` without groups and dilation, in two TensorFlow operations.

    Never saved, see ``models.layers.network.with_plain_layers``.
    """

    plain = keras.layers.Conv2D

    def call(self, inputs: KerasTensor) -> KerasTensor:
        import tensorflow as tf

        outputs = convolve(inputs, self.kernel.value, self.strides, self.padding)
        if self.use_bias:
            outputs = tf.nn.bias_add(outputs, self.bias.value)
        return outputs if self.activation is None else self.activation(outputs)


def conv2d(
    filters: int, size: int | tuple[int, int], stride: int = 1, **options: object
) -> keras.Layer:
    """Return a convolution of channels-last images, the faster version if possible.

    ``size`` is the side of the kernel, or its height and width.
    """
    fused = keras.backend.backend() == "tensorflow" and not PLAIN_ONLY & options.keys()
    kind = Conv2D if fused else keras.layers.Conv2D
    return kind(filters, size, stride, data_format="channels_last", **options)
