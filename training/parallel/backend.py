"""What depends on the backend: seeds, precision, compilation, fused updates, reading of batches."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import keras
from keras import KerasTensor

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


def skip_graph_optimization() -> None:
    """Make TensorFlow run graphs as they were traced, if it runs them on the CPU.

    Optimizing the graph of a network of 110 layers delays the first step by about ten seconds,
    and the steps take as long without it.
    """
    if keras.backend.backend() == "tensorflow" and devices.count("gpu") == 0:
        import tensorflow as tf

        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


def fused_updates() -> bool:
    """Return whether ``momentum_steps`` can be used: under TensorFlow."""
    return keras.backend.backend() == "tensorflow"


def momentum_steps(
    variables: "Sequence[keras.Variable | tf.Variable]",
    velocities: Sequence[keras.Variable],
    gradients: Sequence[KerasTensor],
    learning_rate: KerasTensor,
    momentum: float,
    nesterov: bool,
    clip_norm: float | None,
    penalty: float = 0.0,
) -> None:
    """Apply SGD with momentum in two TensorFlow operations per variable instead of fourteen.

    The velocity accumulates learning rate times gradient, so the rate is scaled when the
    norm of all gradients together exceeds ``clip_norm``. Every replica does the same with its own
    copy of the variables. The ``penalty`` times the weights is added to the scaled gradients.
    """
    import tensorflow as tf

    rate = tf.convert_to_tensor(learning_rate)
    if clip_norm:
        norm = tf.sqrt(2 * tf.add_n([tf.nn.l2_loss(gradient) for gradient in gradients]))
        # The difference is 0, or NaN after an overflow, which then shows in every weight.
        factor = clip_norm / tf.maximum(norm, clip_norm) + (norm - norm)
        if penalty:
            gradients = [factor * gradient for gradient in gradients]
        else:
            rate *= factor
    if penalty:
        gradients = [g + penalty * v for g, v in zip(gradients, variables, strict=True)]
    momentum = tf.constant(momentum, rate.dtype)
    for variable, velocity, gradient in zip(variables, velocities, gradients, strict=True):
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=_handle(variable),
            accum=_handle(velocity),
            lr=rate,
            grad=gradient,
            momentum=momentum,
            use_nesterov=nesterov,
        )


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
