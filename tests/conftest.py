"""What holds for all tests, before anything imports TensorFlow."""

import os

# As the commands set it: tests compare runs in this process with others, bit by bit.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
