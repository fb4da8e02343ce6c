"""The start of the backend: which one it is, its environment, and what need not be imported."""

import json
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from training.parallel.allocation import keep_freed_memory
from training.parallel.compiled_code import keep_compiled_code
from utils import UsageError

LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"

UNNEEDED = {"jax", "matplotlib", "sklearn"}
"""What Keras and TensorFlow import if it is installed, for nothing that this project uses.

Without them resnet-32 on Digits needs 17 % less computing up to its first step.
"""


def import_backend(prepare: Callable[[], None] | None = None, show: bool = False) -> None:
    """Import Keras without what TensorFlow's libraries say about processors and missing GPUs.

    Setting ``TF_CPP_MIN_LOG_LEVEL`` brings all of it back, like ``show``. TensorFlow is told to use
    the kernels of oneDNN, which it does by itself on processors with AVX-512 only; convolutions are
    much faster with them on others too. ``TF_ENABLE_ONEDNN_OPTS=0`` keeps them out. Freed memory is
    kept, see ``allocation``. ``prepare`` is called before the backend looks at the machine's
    devices.

    Raises:
        UsageError: the backend that ``KERAS_BACKEND`` names cannot be used.
    """
    keep_freed_memory()
    show = show or LOG_LEVEL in os.environ
    os.environ.setdefault(LOG_LEVEL, "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    backend = backend_name()
    try:
        with nullcontext() if show else _silenced(), hidden(UNNEEDED - {backend}):
            import keras

            from training.parallel import devices

            # Whatever ``keras.json`` says.
            keras.config.set_floatx("float32")
            keras.config.set_image_data_format("channels_last")
            if prepare:
                prepare()
            devices.count("gpu")
    except (ImportError, ValueError, OSError, MemoryError) as error:
        reason = " ".join(str(error).split()) or "out of memory"
        raise UsageError(f"the Keras backend {backend!r} cannot be used: {reason}") from error
    if backend == "jax":
        keep_compiled_code()
    # Keras warns of a single class in every trace; the training says it once.
    warnings.filterwarnings("ignore", "You are using a softmax over axis", UserWarning)


def backend_name() -> str:
    """Name of the backend that Keras will take: of the variable, else of its own file.

    Raises:
        UsageError: Keras could not read the file.
    """
    # Unlike pathlib's, this leaves ``~`` as it is for users without a home.
    folder = os.path.expanduser(os.environ.get("KERAS_HOME", "~/.keras"))
    file = Path(folder, "keras.json")
    try:
        settings = json.loads(file.read_text())
    except (OSError, ValueError):  # as Keras takes it
        settings = {}
    except RecursionError:
        settings = None
    stored = settings.get("backend", "tensorflow") if isinstance(settings, dict) else None
    if not isinstance(stored, str):
        raise UsageError(f"{file} has no settings that Keras can read; mend or delete it")
    return os.environ.get("KERAS_BACKEND") or stored


@contextmanager
def hidden(names: Iterable[str]) -> Iterator[None]:
    """Make libraries look as if they were not installed; those imported already stay."""
    absent = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


@contextmanager
def _silenced() -> Iterator[None]:
    """Drop what is written to the file descriptor of standard error, below Python."""
    try:
        saved = os.dup(2)
    except OSError:  # standard error is closed anyway
        yield
        return
    try:
        with open(os.devnull, "w") as null:
            os.dup2(null.fileno(), 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
