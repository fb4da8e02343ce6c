"""Batch normalization with TensorFlow's fused kernel.

Keras uses some thirty operations for the forward and backward pass, which makes a network of 110
layers slow to trace and to train (https://github.com/keras-team/keras-core/issues/225). Results are
the same, except that the moving variance follows the unbiased instead of the biased variance of the
batch, as in Keras 2 (https://github.com/keras-team/keras/pull/9028).
"""

import keras
from keras import KerasTensor

PYTORCH = {"momentum": 0.9, "epsilon": 1e-5}
"""PyTorch's defaults. Like the fused kernel, PyTorch follows the unbiased variance."""


class BatchNormalization(keras.layers.BatchNormalization):
    """``keras.layers.BatchNormalization`` with TensorFlow's fused kernel, for images and vectors.

    Never saved: ``models.files.saved`` writes the plain layer instead. Has the plain layer's class
    name, since Keras names the groups of a weights file after classes.
    """

    plain = keras.layers.BatchNormalization

    def call(
        self, inputs: KerasTensor, training: bool | None = None, mask: KerasTensor | None = None
    ) -> KerasTensor:
        import tensorflow as tf

        if mask is not None or len(inputs.shape) not in (2, 4):
            return super().call(inputs, training, mask)
        learning = bool(training) and self.trainable
        flat = len(inputs.shape) == 2
        mean, variance = self.moving_mean.value, self.moving_variance.value
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs[:, None, None, :] if flat else inputs,
            scale=self.gamma.value if self.scale else tf.ones_like(mean),
            offset=self.beta.value if self.center else tf.zeros_like(mean),
            mean=mean,
            variance=variance,
            epsilon=self.epsilon,
            exponential_avg_factor=1 - self.momentum,
            is_training=learning,
        )
        if learning:
            self.moving_mean.assign(mean)
            self.moving_variance.assign(variance)
        return outputs[:, 0, 0, :] if flat else outputs


def batch_normalization(
    name: str, momentum: float = 0.99, epsilon: float = 1e-3, **options: object
) -> keras.Layer:
    """Return a batch normalization over channels, fused under TensorFlow; defaults of Keras 2."""
    fused = keras.backend.backend() == "tensorflow"
    kind = BatchNormalization if fused else keras.layers.BatchNormalization
    return kind(momentum=momentum, epsilon=epsilon, name=name, **options)
