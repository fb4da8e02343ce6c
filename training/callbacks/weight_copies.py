"""Copies of a network's weights to evaluate and save instead, such as their moving average."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import keras
from keras import KerasTensor, ops

from training.parallel import backend, replicas


class WeightCopy:
    """A copy of the weights and batch statistics of a network's trainable layers.

    Attributes:
        variables: the copies, initially with the current values.
        weights: the network's variables in the same order.
    """

    def __init__(self, model: keras.Model):
        layers = [layer for layer in model.layers if layer.trainable]
        self.weights = [weight for layer in layers for weight in layer.weights]
        self.variables = [
            keras.Variable(ops.convert_to_numpy(w), dtype=w.dtype, trainable=False)
            for w in self.weights
        ]
        self._model = model

    def take(self) -> None:
        """Copy the current values of the network."""
        backend.sync_variables(self._model)
        _assign(self.variables, self.weights)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Give the network the values of the copies within the ``with`` block."""
        backend.sync_variables(self._model)
        before = [ops.convert_to_numpy(weight) for weight in self.weights]
        _assign(self.weights, self.variables)
        try:
            yield
        finally:
            _assign(self.weights, before)


def _assign(variables: Sequence[keras.Variable], values: Sequence[object]) -> None:
    for variable, value in zip(variables, values, strict=True):
        # Through NumPy: under JAX, the next step may donate (reuse) the buffer of a variable.
        variable.assign(ops.convert_to_numpy(value))


class WeightAverage(keras.callbacks.Callback):
    """Exponential moving average of weights and batch statistics, updated after each step.

    In step t, from 1, the decay is min(decay, (1 + t) / (10 + t)), so that the average soon forgets
    the initial weights, like in ``tf.train.ExponentialMovingAverage``. Keras' optimizers do not
    average batch statistics.

    Must come before all callbacks that evaluate or save.

    Args:
        model: a compiled model.
        decay: decay of the average per step, in [0, 1).

    Attributes:
        variables: the state.
        in_place: see ``WeightCopy``.
    """

    def __init__(self, model: keras.Model, decay: float):
        super().__init__()
        copy = WeightCopy(model)
        seen = keras.Variable(0, dtype="int32", trainable=False)  # steps
        pairs = list(zip(copy.variables, copy.weights, strict=True))

        def update(steps: KerasTensor) -> None:
            count = ops.cast(steps, "float32")
            kept = ops.minimum(decay, (1 + count) / (10 + count))
            # No update after a batch without a step: gradients were accumulated, or it was skipped.
            share = ops.where(ops.cast(steps, "int32") > seen, 1 - kept, 0.0)
            for average, weight in pairs:
                average.assign(average + share * (replicas.mean_of_copies(weight) - average))
            seen.assign(ops.cast(steps, "int32"))

        self.variables = [*copy.variables, seen]
        self.in_place = copy.in_place
        self._update = backend.compiled(update, self.variables, copy.weights)

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        backend.sync_variables(self.model)
        self._update(self.model.optimizer.iterations)
