"""Starting the backend: which one it is, its environment and memory, and imports to avoid."""

import ctypes
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from utils import UsageError

LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"

UNNEEDED = {"jax", "matplotlib", "sklearn"}
"""Packages that Keras and TensorFlow import if installed, but that this project does not need.

Without them, resnet-32 on Digits needs 17 % less CPU time up to its first step.
"""

# Numbers and values of mallopt's parameters, from glibc's malloc.h.
_MALLOPT = {
    "M_MMAP_MAX": (-4, 0),  # do not map large blocks separately, which free() would unmap
    "M_ARENA_MAX": (-8, 1),  # use one heap; those of other threads are limited in size
    "M_TRIM_THRESHOLD": (-1, -1),  # never return memory from the top of the heap
    "M_TOP_PAD": (-2, 1 << 26),  # grow the heap by 64 MiB at a time
}


def import_backend(prepare: Callable[[], None] | None = None, show: bool = False) -> None:
    """Import Keras without TensorFlow's messages about processors and missing GPUs.

    ``show`` or setting ``TF_CPP_MIN_LOG_LEVEL`` restores these messages. TensorFlow uses oneDNN by
    default only on processors with AVX-512; here it always does, since convolutions are much faster
    with it on others, too. ``TF_ENABLE_ONEDNN_OPTS=0`` turns it off. Freed memory is kept, see
    ``keep_freed_memory``. ``prepare`` is called before the backend initializes its devices.

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

            # These override ``keras.json``.
            keras.config.set_floatx("float32")
            keras.config.set_image_data_format("channels_last")
            if prepare:
                prepare()
            devices.count("gpu")
    except (ImportError, ValueError, OSError, MemoryError) as error:
        reason = " ".join(str(error).split()) or "out of memory"
        raise UsageError(f"the Keras backend {backend!r} cannot be used: {reason}") from error
    # Keras warns about a single class in every trace; ``training.run`` does once.
    warnings.filterwarnings("ignore", "You are using a softmax over axis", UserWarning)


def keep_freed_memory() -> bool:
    """Configure ``malloc`` for a program that needs the same memory again and again.

    By default, glibc returns the memory of a step's activations to the system, which must clear the
    pages again for the next step; this takes a quarter of each step of resnet-110-wfc. See
    https://man7.org/linux/man-pages/man3/mallopt.3.html.
    ``MALLOC_…`` and ``GLIBC_TUNABLES`` in the environment take precedence. Without glibc, this does
    nothing.

    Returns:
        Whether anything was set.
    """
    if any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is None:
        return False
    return all([mallopt(*setting) for setting in _MALLOPT.values()])


def backend_name() -> str:
    """Return the backend that Keras will use, from ``KERAS_BACKEND`` or from ``keras.json``."""
    if name := os.environ.get("KERAS_BACKEND"):
        return name
    # Unlike ``Path.expanduser``, this leaves ``~`` unchanged for users without a home folder.
    folder = os.path.expanduser(os.environ.get("KERAS_HOME", "~/.keras"))
    file = Path(folder, "keras.json")
    try:
        return json.loads(file.read_text()).get("backend", "tensorflow")
    except (OSError, ValueError):  # Keras ignores these, too
        return "tensorflow"
    except AttributeError as error:
        raise UsageError(f"{file} has no settings that Keras can read") from error


@contextmanager
def hidden(names: Iterable[str]) -> Iterator[None]:
    """Make packages appear not to be installed, unless they have already been imported."""
    absent = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


@contextmanager
def _silenced() -> Iterator[None]:
    """Discard what libraries write to the file descriptor of standard error."""
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
