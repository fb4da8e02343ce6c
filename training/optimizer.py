"""Optimizers, clipped by the norm of the gradient: SGD with momentum 0.9, of the paper; Adam."""

import logging
from collections.abc import Callable, Sequence
from functools import partial

import keras
from keras import KerasTensor, ops

from training.parallel import backend, replicas
from utils import UsageError

logger = logging.getLogger(__name__)

MOMENTUM = 0.9

# Options of Keras' optimizers that the fused step does not know, and the value of each without it.
_NOT_FUSED = {
    "weight_decay": None,
    "clipnorm": None,
    "clipvalue": None,
    "use_ema": False,
    "loss_scale_factor": None,
    "gradient_accumulation_steps": None,
}


class _Decaying:
    """Two kinds of decay that Keras' optimizers do not have, for any of them.

    Args:
        decay: per iteration: steps shrink by 1 / (1 + decay * iterations), whatever the schedule
            sets. Keras 2 optimizers had this; Keras 3 dropped it.
        penalty: this times the weights is added to their clipped gradients, as the
            ``weight_decay`` of PyTorch's SGD and Adam. That of Keras takes it off the weights,
            beside the step.
        **kwargs: arguments of the optimizer.
    """

    def __init__(self, decay: float = 0.0, penalty: float = 0.0, **kwargs: object):
        super().__init__(**kwargs)
        self.decay = decay
        self.penalty = penalty

    def update_step(
        self, gradient: KerasTensor, variable: keras.Variable, learning_rate: KerasTensor
    ) -> None:
        if self.penalty:
            gradient = gradient + self.penalty * ops.cast(variable, gradient.dtype)
        super().update_step(gradient, variable, self._decayed(learning_rate))

    def _decayed(self, learning_rate: KerasTensor) -> KerasTensor:
        if not self.decay:
            return learning_rate
        return learning_rate / (1 + self.decay * ops.cast(self.iterations, "float32"))


class SGD(_Decaying, keras.optimizers.SGD):
    """SGD in few operations where the backend has them."""

    _warned = False

    def apply(
        self,
        grads: Sequence[KerasTensor],
        trainable_variables: Sequence[keras.Variable] | None = None,
    ) -> None:
        """Clip, and update all variables, in few operations where the backend has them.

        Keras would clip the gradient of each replica before it adds them up: about as many times
        less as there are replicas.

        Raises:
            UsageError: the fused step lacks something that is wanted of several replicas.
        """
        if trainable_variables is None or not backend.fused_updates():
            super().apply(grads, trainable_variables)
            return
        if not self.built:
            self.build(trainable_variables)
        pairs = [p for p in zip(grads, trainable_variables, strict=True) if p[0] is not None]
        if lacking := self._lacking(pairs):
            self._fall_back(lacking)
            super().apply(grads, trainable_variables)
            return
        gradients, variables = zip(*pairs, strict=True)
        backend.momentum_steps(
            variables,
            [self.momentums[self._get_variable_index(v)] for v in variables],
            replicas.total(gradients),
            self._decayed(ops.convert_to_tensor(self.learning_rate)),
            self.momentum,
            self.nesterov,
            self.global_clipnorm,
            self.penalty,
        )
        self.iterations.assign_add(1)

    def _lacking(self, pairs: Sequence[tuple[KerasTensor, keras.Variable]]) -> list[str]:
        """Return what the fused step does not support, of all that is asked for."""
        lacking = [name for name, off in _NOT_FUSED.items() if getattr(self, name) != off]
        if not self.momentum:
            lacking.append("no momentum")
        if any(hasattr(gradient, "indices") for gradient, _ in pairs):
            lacking.append("sparse gradients")
        for name in ("constraint", "overwrite_with_gradient"):
            if any(getattr(variable, name, None) for _, variable in pairs):
                lacking.append(f"variables with {name}")
        return lacking

    def _fall_back(self, lacking: list[str]) -> None:
        if replicas.several():
            raise UsageError(
                f"several replicas cannot train with {', '.join(lacking)}: Keras would clip the "
                "gradient of each replica by itself"
            )
        if not self._warned:
            self._warned = True
            logger.warning("%s: steps in Keras' own way, which is slower", ", ".join(lacking))


class Adam(_Decaying, keras.optimizers.Adam):
    """Adam (Kingma and Ba, https://arxiv.org/abs/1412.6980)."""


OPTIMIZERS: dict[str, Callable[..., keras.optimizers.Optimizer]] = {
    "sgd": partial(SGD, momentum=MOMENTUM),
    "adam": partial(Adam, epsilon=1e-8),  # PyTorch's
}
"""Functions of the learning rate, the norm to clip at, and the arguments of ``_Decaying``."""


class LossScaleOptimizer(keras.optimizers.LossScaleOptimizer):
    """Scale the loss of a network in half precision; all replicas skip the same steps.

    Keras lets the first replica decide, whose gradient may be finite where that of another is not.
    """

    def check_finite(self, grads: Sequence[KerasTensor]) -> KerasTensor:
        return replicas.all_agree(super().check_finite(grads))


def decay_per_iteration(final_factor: float, iterations: int) -> float:
    """Return the decay that multiplies the learning rate by ``final_factor`` over all steps.

    The factor is in (0, 1]; 0 means no decay.
    """
    if final_factor <= 0:
        return 0.0
    return (1 / final_factor - 1) / max(iterations, 1)


def build_optimizer(
    learning_rate: float,
    clip_norm: float = 10.0,
    nesterov: bool = False,
    decay: float = 0.0,
    name: str = "sgd",
    weight_decay: float = 0.0,
) -> keras.optimizers.Optimizer:
    """Return an optimizer, SGD as published by default; with a scaled loss in float16.

    Args:
        learning_rate: until the schedule sets another.
        clip_norm: the gradient of all weights together is scaled down to this norm. Keras 2 called
            it ``clipnorm``; in Keras 3 that name clips each weight by itself. 0: no clipping.
        nesterov: Nesterov momentum, of SGD.
        decay: of the learning rate, see ``_Decaying``.
        name: a key of ``OPTIMIZERS``.
        weight_decay: the penalty of ``_Decaying``.
    """
    optimizer = OPTIMIZERS[name](
        decay=decay,
        penalty=weight_decay,
        learning_rate=learning_rate,
        global_clipnorm=clip_norm or None,
        **({"nesterov": True} if nesterov else {}),
    )
    if keras.config.dtype_policy().compute_dtype == "float16":
        # Named as Keras does, which would wrap the optimizer otherwise.
        return LossScaleOptimizer(optimizer, name="loss_scale_optimizer")
    return optimizer
