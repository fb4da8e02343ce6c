"""The optimizer of all experiments: SGD with momentum 0.9, clipped by the norm of the gradient."""

from typing import TYPE_CHECKING

import keras
from keras import KerasTensor, ops

from training.distribution import momentum_step

if TYPE_CHECKING:
    import tensorflow as tf

MOMENTUM = 0.9


class SGD(keras.optimizers.SGD):
    """SGD whose steps can shrink by 1 / (1 + decay * iterations), whatever the schedule sets.

    Keras 2 optimizers had this as ``decay``; Keras 3 dropped it.

    Args:
        decay: per iteration.
        **kwargs: arguments of ``keras.optimizers.SGD``.
    """

    def __init__(self, decay: float = 0.0, **kwargs: object):
        super().__init__(**kwargs)
        self.decay = decay

    def update_step(
        self,
        gradient: KerasTensor,
        variable: "keras.Variable | tf.Variable",
        learning_rate: KerasTensor,
    ) -> None:
        if self.decay:
            learning_rate /= 1 + self.decay * ops.cast(self.iterations, "float32")
        if keras.backend.backend() != "tensorflow":
            super().update_step(gradient, variable, learning_rate)
            return
        velocity = self.momentums[self._get_variable_index(variable)]
        momentum_step(variable, velocity, gradient, learning_rate, self.momentum, self.nesterov)


def decay_per_iteration(final_factor: float, iterations: int) -> float:
    """The decay at which the factor on the learning rate is ``final_factor`` after so many steps.

    Args:
        final_factor: in (0, 1]; 0 means no decay.
        iterations: steps of the whole training.
    """
    if final_factor <= 0:
        return 0.0
    return (1 / final_factor - 1) / max(iterations, 1)


def build_optimizer(
    learning_rate: float, clip_norm: float = 10.0, nesterov: bool = False, decay: float = 0.0
) -> keras.optimizers.SGD:
    """SGD as published.

    Args:
        learning_rate: until the schedule sets another.
        clip_norm: the gradient of all weights together is scaled down to this norm. Keras 2 called
            it ``clipnorm``; in Keras 3 that name clips each weight by itself. 0: no clipping.
        nesterov: Nesterov momentum.
        decay: see ``SGD``.
    """
    return SGD(
        decay,
        learning_rate=learning_rate,
        momentum=MOMENTUM,
        nesterov=nesterov,
        global_clipnorm=clip_norm or None,
    )
