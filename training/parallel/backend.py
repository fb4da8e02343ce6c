"""Backend-specific code: seeds, precision, compilation, reading batches."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import keras
from keras import KerasTensor, ops

from training.parallel import devices, replicas
from training.parallel.startup import hidden
from utils import UsageError


def configure(seed: int, mixed_precision: str | None) -> None:
    """Seed every random generator and set the numeric precision; call before building a network.

    ``mixed_precision`` is ``"bfloat16"``, ``"float16"`` or None for float32.
    """
    # As documented, Keras would seed, and thus import, TensorFlow under every backend.
    with hidden({"tensorflow"} - {keras.backend.backend()}):
        keras.utils.set_random_seed(seed)
    keras.config.set_image_data_format("channels_last")
    policy = f"mixed_{mixed_precision}" if mixed_precision else "float32"
    keras.config.set_dtype_policy(policy)
    skip_graph_optimization()


def jit_compile(choice: str) -> bool:
    """Return whether Keras should compile the training step with XLA.

    ``"auto"`` means yes under JAX, and under TensorFlow on GPUs. On CPUs, XLA is several times
    slower than TensorFlow's own kernels and takes minutes to compile. TensorFlow cannot compile the
    step of several replicas (https://github.com/keras-team/keras/issues/18145).

    Raises:
        UsageError: ``choice`` is ``"on"``, but compilation is impossible.
    """
    backend = keras.backend.backend()
    possible = not (backend == "tensorflow" and replicas.several())
    if choice == "on" and not possible:
        raise UsageError("--jit on: under TensorFlow, this requires --gpus 1; leave it out")
    if choice != "auto":
        return choice == "on"
    return possible and (backend == "jax" or (backend == "tensorflow" and devices.count("gpu") > 0))


def sync_variables(model: keras.Model) -> None:
    """Write the state of the last step to the variables; under JAX, Keras keeps it separately."""
    if keras.backend.backend() == "jax":
        model.jax_state_sync()


def compiled(
    update: Callable[[KerasTensor], None],
    written: Sequence[keras.Variable],
    read: Sequence[keras.Variable],
) -> Callable[[KerasTensor], None]:
    """Compile a function that updates variables.

    Args:
        update: function of a tensor that assigns to variables.
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
    """Turn off TensorFlow's graph optimization if it runs on the CPU.

    For a network of 110 layers, the optimization delays the first step by about ten seconds and
    makes no step faster.
    """
    if keras.backend.backend() == "tensorflow" and devices.count("gpu") == 0:
        import tensorflow as tf

        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


@contextmanager
def untuned_reading() -> Iterator[None]:
    """Turn off ``tf.data`` autotuning in Keras within the ``with`` block.

    TensorFlow wakes the autotuner at the end of an epoch, but only then sets the flag that ends it,
    so it may sleep again and delay the epoch; no issue is known. Keras has no option for this, and
    ``datasets.batches.Batches``, which reads ahead by itself, leaves nothing to tune.
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
