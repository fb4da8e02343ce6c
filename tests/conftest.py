"""Environment of all tests, set before TensorFlow is imported."""

import os
import signal
import tempfile

# As the commands set it: tests compare runs in this process with others, bit by bit.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# XLA spends most of a tiny run under JAX on compiling it; the results are the same up to rounding.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=1")
# Nor is it compiled twice. The first process makes the folder, the others are started by it.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    compiled = tempfile.TemporaryDirectory(prefix="jax-")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = compiled.name
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
# A shell makes what it starts in the background ignore SIGINT, and all processes of that.
signal.signal(signal.SIGINT, signal.default_int_handler)
