"""What depends on the backend: seeds, precision, compilation, fused updates, reading of batches."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import keras
from keras import KerasTensor, ops

from training.parallel import devices, replicas
from training.parallel.startup import hidden
from utils import UsageError

if TYPE_CHECKING:
    import tensorflow as tf


def configure(seed: int, mixed_precision: str | None) -> None:
    """Seed every random generator and set the numeric precision; call before building a network.

    ``mixed_precision`` is ``"bfloat16"``, ``"float16"`` or None for float32.
    """
    # Keras imports TensorFlow, if it is installed, to seed it under any backend.
    with hidden({"tensorflow"} - {keras.backend.backend()}):
        keras.utils.set_random_seed(seed)
    keras.config.set_image_data_format("channels_last")
    policy = f"mixed_{mixed_precision}" if mixed_precision else "float32"
    keras.config.set_dtype_policy(policy)
    skip_graph_optimization()


def jit_compile(choice: str) -> bool:
    """Return whether Keras compiles the training step.

    With ``"auto"`` it does under JAX, and under TensorFlow on GPUs: on CPUs, XLA is several times
    slower than TensorFlow's own kernels, and compiles for minutes. The step of several replicas of
    TensorFlow cannot be compiled.

    Raises:
        UsageError: it is wanted but impossible.
    """
    backend = keras.backend.backend()
    possible = not (backend == "tensorflow" and replicas.several())
    if choice == "on" and not possible:
        raise UsageError("--jit on: works with --gpus 1 only under TensorFlow; leave it out")
    if choice != "auto":
        return choice == "on"
    return possible and (backend == "jax" or (backend == "tensorflow" and devices.count("gpu") > 0))


def sync_variables(model: keras.Model) -> None:
    """Write the state of the last step to the variables: Keras keeps it apart under JAX."""
    if keras.backend.backend() == "jax":
        model.jax_state_sync()


def compiled(
    update: Callable[[KerasTensor], None],
    written: Sequence[keras.Variable],
    read: Sequence[keras.Variable],
) -> Callable[[KerasTensor], None]:
    """Return a function that assigns the same to variables, in one call of the backend.

    Args:
        update: function of a tensor.
        written: the variables that it assigns to.
        read: further variables that it reads.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.function(update, autograph=False)
    if backend != "jax":
        return update
    import jax

    variables = [*written, *read]

    @jax.jit
    def new_values(argument: KerasTensor, values: list[KerasTensor]) -> list[KerasTensor]:
        state = zip(variables, values, strict=True)
        with keras.StatelessScope(state_mapping=state) as scope:
            update(argument)
        return [scope.get_current_value(variable) for variable in written]

    def assign(argument: KerasTensor) -> None:
        values = new_values(ops.convert_to_tensor(argument), [v.value for v in variables])
        for variable, value in zip(written, values, strict=True):
            variable.assign(value)

    return assign


def skip_graph_optimization() -> None:
    """Make TensorFlow run graphs as they were traced, if it runs them on the CPU.

    Optimizing the graph of a network of 110 layers delays the first step by about ten seconds,
    and the steps take as long without it.
    """
    if keras.backend.backend() == "tensorflow" and devices.count("gpu") == 0:
        import tensorflow as tf

        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


def fused_updates() -> bool:
    """Return whether the functions that update variables here can be used: under TensorFlow."""
    return keras.backend.backend() == "tensorflow"


@dataclass(frozen=True)
class Gradients:
    """Gradients of all variables, and what is done with them before a step."""

    values: Sequence[KerasTensor]  # total of all replicas
    clip_norm: float | None = None  # the largest norm of all together, or None
    penalty: float = 0.0  # this times the weights is added to them after clipping

    def final(self, variables: "Sequence[keras.Variable | tf.Variable]") -> list[KerasTensor]:
        """Return what a step uses."""
        values = list(self.values)
        if self.clip_norm:
            factor = self.clip_factor()
            values = [factor * value for value in values]
        if self.penalty:
            values = [g + self.penalty * v for g, v in zip(values, variables, strict=True)]
        return values

    def clip_factor(self) -> KerasTensor:
        """Return what scales them down to ``clip_norm``, at most 1."""
        import tensorflow as tf

        norm = tf.sqrt(2 * tf.add_n([tf.nn.l2_loss(value) for value in self.values]))
        # The difference is 0, or NaN after an overflow, which then shows in every weight.
        return self.clip_norm / tf.maximum(norm, self.clip_norm) + (norm - norm)


def momentum_steps(
    variables: "Sequence[keras.Variable | tf.Variable]",
    velocities: Sequence[keras.Variable],
    gradients: Gradients,
    learning_rate: KerasTensor,
    momentum: float,
    nesterov: bool,
) -> None:
    """Apply SGD with momentum in two TensorFlow operations per variable instead of fourteen.

    The velocity accumulates learning rate times gradient, so the rate is scaled where gradients are
    to be clipped. Every replica does the same with its own copy of the variables.
    """
    import tensorflow as tf

    rate = tf.convert_to_tensor(learning_rate)
    if gradients.clip_norm and not gradients.penalty:
        rate, values = rate * gradients.clip_factor(), gradients.values
    else:
        values = gradients.final(variables)
    momentum = tf.constant(momentum, rate.dtype)
    for variable, velocity, gradient in zip(variables, velocities, values, strict=True):
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=_handle(variable),
            accum=_handle(velocity),
            lr=rate,
            grad=gradient,
            momentum=momentum,
            use_nesterov=nesterov,
        )


def adam_steps(
    variables: "Sequence[keras.Variable | tf.Variable]",
    means: Sequence[keras.Variable],
    squares: Sequence[keras.Variable],
    gradients: Gradients,
    learning_rate: KerasTensor,
    step: KerasTensor,
    beta_1: float,
    beta_2: float,
    epsilon: float,
) -> None:
    """Apply Adam in one TensorFlow operation per variable, with the formula of Keras.

    ``step`` is the number of this step from 1, a float.
    """
    import tensorflow as tf

    rate = tf.convert_to_tensor(learning_rate)
    betas = {"beta1": tf.constant(beta_1, rate.dtype), "beta2": tf.constant(beta_2, rate.dtype)}
    powers = {f"{name}_power": beta**step for name, beta in betas.items()}
    values = gradients.final(variables)
    for variable, mean, square, value in zip(variables, means, squares, values, strict=True):
        tf.raw_ops.ResourceApplyAdam(
            var=_handle(variable),
            m=_handle(mean),
            v=_handle(square),
            lr=rate,
            epsilon=tf.constant(epsilon, rate.dtype),
            grad=value,
            **betas,
            **powers,
        )


def decay_weights(variables: "Sequence[keras.Variable | tf.Variable]", share: KerasTensor) -> None:
    """Take this share of the weights off them."""
    import tensorflow as tf

    for variable in variables:
        loss = share * tf.convert_to_tensor(variable)
        tf.raw_ops.AssignSubVariableOp(resource=_handle(variable), value=loss)


def accumulated_steps(
    sums: Sequence[keras.Variable],
    gradients: Sequence[KerasTensor],
    count: int,
    due: KerasTensor,
    step: Callable[[list[KerasTensor]], None],
) -> None:
    """Add gradients to ``sums``; if a step is ``due``, step with a ``count``-th and begin anew."""
    import tensorflow as tf

    pairs = list(zip(sums, gradients, strict=True))

    def add() -> None:
        for own, gradient in pairs:
            tf.raw_ops.AssignAddVariableOp(resource=_handle(own), value=gradient)

    def take() -> None:
        step([(tf.convert_to_tensor(own) + gradient) / count for own, gradient in pairs])
        for own, gradient in pairs:
            zeros = tf.zeros_like(gradient)
            tf.raw_ops.AssignVariableOp(resource=_handle(own), value=zeros)

    tf.cond(due, take, add)


def _handle(variable: "keras.Variable | tf.Variable") -> "tf.Tensor":
    return getattr(variable, "value", variable).handle


@contextmanager
def untuned_reading() -> Iterator[None]:
    """Keep TensorFlow from autotuning within the ``with`` block how Keras reads batches.

    The autotuner of ``tf.data`` is a thread that sleeps 10, 20, 40 ms and so on, up to a minute,
    and the end of an epoch may wait until it wakes: a third of a short epoch. There is nothing to
    tune, since ``datasets.batches.Batches`` prefetches by itself. Keras 3 has no option for this.
    """
    if keras.backend.backend() != "tensorflow":
        yield
        return
    import tensorflow as tf

    tuned = tf.data.Dataset.from_generator
    options = tf.data.Options()
    options.autotune.enabled = False

    def untuned(*args, **kwargs) -> tf.data.Dataset:
        return tuned(*args, **kwargs).with_options(options)

    tf.data.Dataset.from_generator = staticmethod(untuned)
    try:
        yield
    finally:
        tf.data.Dataset.from_generator = staticmethod(tuned)
