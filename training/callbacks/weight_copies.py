"""Copies of the weights of a network, evaluated and saved in their place: the moving average."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import keras
from keras import KerasTensor, ops

from training.parallel import backend, replicas


class WeightCopy:
    """Variables like the weights and batch statistics of a network, with their present values.

    Layers that are not trained have none.

    Attributes:
        variables: the copies.
        weights: of the network, in the same order.
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
        """Copy the present values of the network."""
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
        # Not the buffer of another variable, which the next step under JAX may take for its own.
        variable.assign(ops.convert_to_numpy(value))


class WeightAverage(keras.callbacks.Callback):
    """Exponential moving average of weights and batch statistics, of the values after each step.

    The average of step t, from 1, keeps the share min(decay, (1 + t) / (10 + t)) of the one before,
    so that it soon forgets the initial weights; as ``tf.train.ExponentialMovingAverage``. Keras'
    optimizers average no batch statistics.

    Comes before all callbacks that evaluate or save.

    Args:
        model: compiled.
        decay: in [0, 1).

    Attributes:
        variables: its state.
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
            # None after a batch without a step: of several, or skipped.
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
