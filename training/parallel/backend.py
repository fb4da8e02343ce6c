"""What depends on the backend and the machine: precision, compilation, how batches are read."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import keras
from keras import KerasTensor

from storage import records
from training.parallel import devices, replicas
from training.parallel.startup import hidden
from utils import UsageError

if TYPE_CHECKING:
    import tensorflow as tf


def configure(seed: int, mixed_precision: str | None) -> None:
    """Seeds every random generator and sets the numeric precision, before a network is built.

    Args:
        seed: of Python, NumPy and the backend.
        mixed_precision: ``"bfloat16"``, ``"float16"`` or None for float32.
    """
    with hidden({"tensorflow"} - {keras.backend.backend()}):  # it would import it, to seed it too
        keras.utils.set_random_seed(seed)
    keras.config.set_image_data_format("channels_last")
    policy = f"mixed_{mixed_precision}" if mixed_precision else "float32"
    keras.config.set_dtype_policy(policy)
    skip_graph_optimization()


def jit_compile(choice: str) -> bool:
    """Whether Keras compiles the training step.

    ``"auto"``: always under JAX, under TensorFlow on GPUs only (XLA is several times slower than
    TensorFlow's own kernels on CPUs, and compiles for minutes), never under PyTorch. The step of
    several replicas of TensorFlow cannot be compiled.

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
    """Gives the variables the values of the last step.

    Under JAX they are kept elsewhere while an epoch runs.
    """
    if keras.backend.backend() == "jax":
        model.jax_state_sync()


def skip_graph_optimization() -> None:
    """Has TensorFlow run graphs as they were traced, when it runs them on the CPU.

    Optimizing the graph of a network of 110 layers delays the first step by about ten seconds,
    and the steps take as long without it.
    """
    if keras.backend.backend() == "tensorflow" and devices.count("gpu") == 0:
        import tensorflow as tf

        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


def fused_updates() -> bool:
    """Whether ``momentum_steps`` can be used: under TensorFlow."""
    return keras.backend.backend() == "tensorflow"


def momentum_steps(
    variables: "Sequence[keras.Variable | tf.Variable]",
    velocities: Sequence[keras.Variable],
    gradients: Sequence[KerasTensor],
    learning_rate: KerasTensor,
    momentum: float,
    nesterov: bool,
    clip_norm: float | None,
) -> None:
    """A step of SGD with momentum in two TensorFlow operations per variable, not fourteen.

    The velocity takes up learning rate times gradient, so it is the rate that is scaled when the
    norm of all gradients together exceeds ``clip_norm``. Every replica does the same with its own
    copy of the variables.
    """
    import tensorflow as tf

    rate = tf.convert_to_tensor(learning_rate)
    if clip_norm:
        norm = tf.sqrt(2 * tf.add_n([tf.nn.l2_loss(gradient) for gradient in gradients]))
        # The difference is 0, or NaN after an overflow, which then shows in every weight.
        rate *= clip_norm / tf.maximum(norm, clip_norm) + (norm - norm)
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


def versions() -> dict[str, str]:
    """The backend, and the versions of Python and of the libraries."""
    return {"backend": keras.backend.backend(), **records.versions()}


@contextmanager
def untuned_reading() -> Iterator[None]:
    """Within the ``with`` block, TensorFlow does not tune how Keras reads batches.

    A thread of its own would do that, which looks again after 10, 20, 40 ms and so on, up to a
    minute; the end of an epoch may have to wait for its next look, a third of a short epoch. There
    is nothing to tune: ``datasets.batches.Batches`` reads in advance by itself.
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
