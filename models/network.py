"""The class of all networks: a Keras model that computes its L2 penalties together."""

import keras
from keras import KerasTensor


class Network(keras.Model):
    """``keras.Model`` whose L2 penalties are few operations under TensorFlow.

    Keras computes them layer by layer, each in some twenty operations forwards and backwards.
    Sum and gradient are the same. The networks must have no losses but regularizers of weights.
    Saved as the plain ``keras.Model``, see ``models.saved``.
    """

    @property
    def losses(self) -> list[KerasTensor]:
        """The penalties of the weights that are trained: one per coefficient."""
        if keras.backend.backend() != "tensorflow":
            return super().losses
        others, groups = [], {}
        for weight in self.trainable_weights:
            if type(weight.regularizer) is keras.regularizers.L2:
                groups.setdefault(float(weight.regularizer.l2), []).append(weight)
            elif weight.regularizer is not None:
                others.append(weight.regularizer(weight))
        return [_penalty(*group) for group in groups.items()] + others


def _penalty(coefficient: float, weights: list[keras.Variable]) -> KerasTensor:
    import tensorflow as tf

    # Half the sum of squares is what TensorFlow has an operation for.
    halves = [tf.nn.l2_loss(weight.value) for weight in weights]
    return 2 * coefficient * tf.add_n(halves)
