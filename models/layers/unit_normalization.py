"""Normalization to unit length with a finite gradient everywhere."""

import keras
from keras import KerasTensor, ops

SMALLEST_SQUARE = 1e-12
"""Least squared length to divide by, as in Keras 2 (``K.l2_normalize`` with TensorFlow)."""


class UnitNormalization(keras.layers.UnitNormalization):
    """``keras.layers.UnitNormalization``, except for vectors shorter than 1e-6.

    Keras' layer has another limit for them, 1e-12, and under JAX and XLA its gradient at zero is
    NaN, so that a single such image spoils all weights
    (https://github.com/keras-team/keras/issues/23075).

    Never saved: ``models.files.saved`` writes the plain layer instead.
    """

    plain = keras.layers.UnitNormalization

    def call(self, inputs: KerasTensor) -> KerasTensor:
        squared = ops.sum(ops.square(inputs), axis=-1, keepdims=True)
        return inputs * ops.rsqrt(ops.maximum(squared, SMALLEST_SQUARE))
