"""Convolutions with few TensorFlow operations.

Keras reshapes the bias before adding it, in the forward and backward pass. In a network of 110
layers, this makes a thousand operations, which delay the first step by seconds.
"""

import keras
from keras import KerasTensor

PLAIN_ONLY = frozenset({"groups", "dilation_rate"})
"""Options that the faster convolution does not support."""


class Conv2D(keras.layers.Conv2D):
    """``keras.layers.Conv2D`` without groups and dilation, in two TensorFlow operations.

    Never saved, see ``models.layers.network.with_plain_layers``.
    """

    plain = keras.layers.Conv2D

    def call(self, inputs: KerasTensor) -> KerasTensor:
        import tensorflow as tf

        outputs = tf.raw_ops.Conv2D(
            input=inputs,
            filter=self.kernel.value,
            strides=(1, *self.strides, 1),
            padding=self.padding.upper(),
        )
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
