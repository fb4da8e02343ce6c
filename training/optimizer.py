"""Optimizers with clipping by the global gradient norm: the paper's SGD with momentum, Adam(W)."""

import logging
from collections.abc import Callable, Sequence
from functools import partial

import keras
from keras import KerasTensor, ops

from training.parallel import fused_steps, replicas
from utils import UsageError

logger = logging.getLogger(__name__)

MOMENTUM = 0.9

# Options of Keras' optimizers that the fused step does not support, and the values that are off.
_NOT_FUSED = {
    "clipnorm": None,
    "clipvalue": None,
    "use_ema": False,
    "loss_scale_factor": None,
}


class _Decaying:
    """Mix-in that adds two kinds of decay to Keras optimizers.

    Args:
        decay: learning-rate decay on top of the schedule: each step is scaled by
            1 / (1 + decay * iterations). Keras 2 had this; Keras 3 dropped it.
        penalty: L2 penalty: the clipped gradients increase by this times the weights, like
            ``weight_decay`` in PyTorch's SGD and Adam. In Keras, ``weight_decay`` is decoupled.
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


class _Fused(_Decaying):
    """Optimizer that clips and steps with fused operations if the backend has them."""

    _warned = False

    def apply(
        self,
        grads: Sequence[KerasTensor],
        trainable_variables: Sequence[keras.Variable] | None = None,
    ) -> None:
        """Clip the total gradient and update all variables.

        Keras 3 would clip the gradient of each replica before summing, which for N replicas allows
        about N times the norm; no issue is known. Nor can it accumulate gradients over several
        replicas (https://github.com/keras-team/keras/issues/20582).

        Raises:
            UsageError: there are several replicas, and the fused step does not support an option.
        """
        if trainable_variables is None or not fused_steps.available():
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
        step = partial(self._fused_steps, variables)
        if count := self.gradient_accumulation_steps:
            sums = self._own(self._accumulated_gradients, variables)
            due = (self._iterations + 1) % count == 0
            fused_steps.accumulated_steps(sums, replicas.total(gradients), count, due, step)
        else:
            step(replicas.total(gradients))
        self._iterations.assign_add(1)  # counts batches; the property ``iterations`` counts steps

    def _fused_steps(
        self, variables: Sequence[keras.Variable], gradients: Sequence[KerasTensor]
    ) -> None:
        """Apply decoupled weight decay as Keras does, then step."""
        rate = ops.convert_to_tensor(self.learning_rate)
        if self.weight_decay:
            fused_steps.decay_weights(variables, rate * self.weight_decay)
        self._step(
            variables,
            fused_steps.Gradients(gradients, self.global_clipnorm, self.penalty),
            self._decayed(rate),
        )

    def _step(
        self,
        variables: Sequence[keras.Variable],
        gradients: fused_steps.Gradients,
        learning_rate: KerasTensor,
    ) -> None:
        raise NotImplementedError

    def _own(
        self, slots: Sequence[keras.Variable], variables: Sequence[keras.Variable]
    ) -> list[keras.Variable]:
        return [slots[self._get_variable_index(variable)] for variable in variables]

    def _lacking(self, pairs: Sequence[tuple[KerasTensor, keras.Variable]]) -> list[str]:
        """Return the requested features that the fused step does not support."""
        lacking = [name for name, off in _NOT_FUSED.items() if getattr(self, name) != off]
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
                "gradient of each replica separately"
            )
        if not self._warned:
            self._warned = True
            logger.warning("%s: using Keras' own update steps, which is slower", ", ".join(lacking))


class _MomentumOfGradients(keras.optimizers.SGD):
    """Keras' SGD, with PyTorch's momentum on request.

    Args:
        of_gradients: whether the momentum accumulates gradients, which the current learning rate
            then scales, as in PyTorch. In Keras, it accumulates gradients times learning rate, so
            that after a drop of the rate the previous, larger steps go on for a while.
        **kwargs: arguments of Keras' SGD.
    """

    def __init__(self, of_gradients: bool = False, **kwargs: object):
        super().__init__(**kwargs)
        self.of_gradients = of_gradients

    def update_step(
        self, gradient: KerasTensor, variable: keras.Variable, learning_rate: KerasTensor
    ) -> None:
        if not self.of_gradients:
            super().update_step(gradient, variable, learning_rate)
            return
        velocity = self.momentums[self._get_variable_index(variable)]
        momentum = ops.cast(self.momentum, variable.dtype)
        gradient = ops.cast(gradient, variable.dtype)
        self.assign(velocity, momentum * velocity + gradient)
        step = momentum * velocity + gradient if self.nesterov else velocity
        self.assign_sub(variable, ops.cast(learning_rate, variable.dtype) * step)


class SGD(_Fused, _MomentumOfGradients):
    """Stochastic gradient descent with momentum."""

    def _step(
        self,
        variables: Sequence[keras.Variable],
        gradients: fused_steps.Gradients,
        learning_rate: KerasTensor,
    ) -> None:
        velocities = self._own(self.momentums, variables)
        options = self.momentum, self.nesterov, self.of_gradients
        fused_steps.momentum_steps(variables, velocities, gradients, learning_rate, *options)

    def _lacking(self, pairs: Sequence[tuple[KerasTensor, keras.Variable]]) -> list[str]:
        return super()._lacking(pairs) + ["no momentum"] * (not self.momentum)


class Adam(_Fused, keras.optimizers.Adam):
    """Adam (Kingma and Ba, https://arxiv.org/abs/1412.6980)."""

    def _step(
        self,
        variables: Sequence[keras.Variable],
        gradients: fused_steps.Gradients,
        learning_rate: KerasTensor,
    ) -> None:
        moments = [self._own(slots, variables) for slots in (self._momentums, self._velocities)]
        step = ops.cast(self.iterations + 1, "float32")
        options = step, self.beta_1, self.beta_2, self.epsilon
        fused_steps.adam_steps(variables, *moments, gradients, learning_rate, *options)

    def _lacking(self, pairs: Sequence[tuple[KerasTensor, keras.Variable]]) -> list[str]:
        return super()._lacking(pairs) + ["amsgrad"] * self.amsgrad


class AdamW(Adam, keras.optimizers.AdamW):
    """Adam with decoupled weight decay (https://arxiv.org/abs/1711.05101)."""


OPTIMIZERS: dict[str, Callable[..., keras.optimizers.Optimizer]] = {
    "sgd": partial(SGD, momentum=MOMENTUM),
    "adam": partial(Adam, epsilon=1e-8),  # PyTorch's
    "adamw": partial(AdamW, epsilon=1e-8),
}
"""Constructors; they take the arguments of ``_Decaying`` besides those of Keras."""

_DECOUPLED = ("adamw",)


class LossScaleOptimizer(keras.optimizers.LossScaleOptimizer):
    """Loss scaling for half precision in which all replicas skip the same steps.

    Keras 3 lets the first replica decide, as if gradients were already summed; no issue is known.
    """

    def check_finite(self, grads: Sequence[KerasTensor]) -> KerasTensor:
        return replicas.all_agree(super().check_finite(grads))


def number_of_steps(batches: int, accumulate: int) -> int:
    """Return the number of steps in a training, each of ``accumulate`` batches.

    Raises:
        UsageError: there are too few batches for a single step.
    """
    steps = batches // accumulate
    if batches and not steps:
        raise UsageError(
            f"--accumulate {accumulate}: the training has {batches} batches in all, too few "
            "for a single step"
        )
    return steps


def decay_per_iteration(final_factor: float, iterations: int) -> float:
    """Return the decay per step that scales the final learning rate by ``final_factor``.

    The factor is in (0, 1]; 0 means no decay.
    """
    if final_factor <= 0:
        return 0.0
    return (1 / final_factor - 1) / max(iterations, 1)


def build_optimizer(
    learning_rate: float | keras.optimizers.schedules.LearningRateSchedule,
    clip_norm: float = 10.0,
    nesterov: bool = False,
    decay: float = 0.0,
    name: str = "sgd",
    weight_decay: float = 0.0,
    accumulate: int = 1,
    momentum_of_gradients: bool = False,
) -> keras.optimizers.Optimizer:
    """Build an optimizer, by default the published SGD; with loss scaling in float16.

    Args:
        learning_rate: rate of every step, or the initial rate, until a callback changes it.
        clip_norm: maximum norm of the gradient of all weights together. Keras 2 called this
            ``clipnorm``, which in Keras 3 clips each weight separately. 0: no clipping.
        nesterov: whether SGD uses Nesterov momentum.
        decay: learning-rate decay, see ``_Decaying``.
        name: a key of ``OPTIMIZERS``.
        weight_decay: the penalty of ``_Decaying``; for ``adamw``, decoupled weight decay.
        accumulate: number of batches whose gradients are averaged for one step.
        momentum_of_gradients: whether SGD uses PyTorch's momentum instead of Keras'.
    """
    options = {"nesterov": nesterov, "of_gradients": momentum_of_gradients}
    optimizer = OPTIMIZERS[name](
        decay=decay,
        **{"weight_decay" if name in _DECOUPLED else "penalty": weight_decay},
        gradient_accumulation_steps=accumulate if accumulate > 1 else None,
        learning_rate=learning_rate,
        global_clipnorm=clip_norm or None,
        **{option: True for option, wanted in options.items() if wanted},
    )
    if keras.config.dtype_policy().compute_dtype == "float16":
        # By the name that Keras uses, or else Keras would wrap the optimizer once more.
        return LossScaleOptimizer(optimizer, name="loss_scale_optimizer")
    return optimizer
