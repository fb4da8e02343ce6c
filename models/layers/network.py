"""The model class of all networks: a Keras model with a faster training step in TensorFlow."""

from collections.abc import Callable

import keras
from keras import KerasTensor


class Network(keras.Model):
    """``keras.Model`` with fewer TensorFlow operations per step and the same results.

    Keras 3 computes L2 penalties weight by weight, with some twenty operations each; here, there is
    one sum per coefficient. Keras nests the training step in two TensorFlow functions, both of
    which capture every variable; here, there is one. No issue is known of either.

    Saved as the plain ``keras.Model``, see ``models.files.saved``.
    """

    def make_train_function(self, force: bool = False) -> None:
        """Create the function that ``fit`` calls for every step.

        Keras' own remains for other backends, eager execution, XLA and several steps per execution.
        """
        if self.train_function is not None and not force:
            return
        super().make_train_function(force)
        more = self.run_eagerly or self.jit_compile or self.steps_per_execution > 1
        if keras.backend.backend() == "tensorflow" and not more:
            self.train_function = _traced_once(self.train_step, self.train_function)

    def _get_regularization_losses(self) -> list[KerasTensor]:
        """Return the penalties of the trainable weights, one per L2 coefficient.

        ``losses`` adds what layers contribute by ``add_loss``. Keras has no public way to replace
        only the penalties; without this private hook, Keras would use its slower code.
        """
        if keras.backend.backend() != "tensorflow":
            return super()._get_regularization_losses()
        others, groups = [], {}
        for weight in self.trainable_weights:
            if type(weight.regularizer) is keras.regularizers.L2:
                groups.setdefault(float(weight.regularizer.l2), []).append(weight)
            elif weight.regularizer is not None:
                others.append(weight.regularizer(weight))
        return [_penalty(*group) for group in groups.items()] + others


def _penalty(coefficient: float, weights: list[keras.Variable]) -> KerasTensor:
    import tensorflow as tf

    # TensorFlow's operation computes half the sum of squares.
    halves = [tf.nn.l2_loss(weight.value) for weight in weights]
    return 2 * coefficient * tf.add_n(halves)


def _traced_once(step: Callable, fallback: Callable) -> Callable:
    """Return a function that runs one step on the next batch of an iterator.

    ``fallback`` is Keras' own function, for distributed data.
    """
    import tensorflow as tf

    functions = {}

    def train(iterator: tf.data.Iterator) -> dict[str, tf.Tensor]:
        if tf.distribute.has_strategy() or not isinstance(iterator, tf.data.Iterator):
            return fallback(iterator)
        if not functions:
            functions["step"] = tf.function(
                step, input_signature=[iterator.element_spec], autograph=False
            )
        return functions["step"](next(iterator))

    return train


def with_plain_layers(model: keras.Model) -> keras.Model:
    """Copy a network with Keras' own layers in place of the faster ones."""
    if not any(hasattr(layer, "plain") for layer in model.layers):
        return model
    plain = keras.models.clone_model(model, clone_function=_plain)
    for layer in (layer for layer in model.layers if layer.weights):
        weights = getattr(layer, "plain_weights", layer.get_weights)()
        plain.get_layer(layer.name).set_weights(weights)
    return plain


def _plain(layer: keras.Layer) -> keras.Layer:
    return getattr(layer, "plain", type(layer)).from_config(layer.get_config())
