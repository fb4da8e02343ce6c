"""What holds for all tests, before anything imports TensorFlow."""

import os

# As the commands set it: tests compare runs in this process with others, bit by bit.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# JAX spends most of a tiny run on compiling it; what it computes stays the same.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=1")
