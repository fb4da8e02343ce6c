"""Runs a command that knows the networks of ``benchmarks.convolutions`` by their names.

``python -m benchmarks.command learn_classifier OPTION…``
"""

import importlib
import sys

import models
from cli import console

NETWORKS = ("relu-float32", "relu-float64", "elu-float32", "elu-float64")

if __name__ == "__main__":
    models.FAMILIES["benchmarks.convolutions"] = NETWORKS
    command = importlib.import_module(sys.argv[1])
    sys.argv = [f"{sys.argv[1]}.py", *sys.argv[2:]]
    console.end_process(command.main)
