"""Runs a training command in a process of its own, which can be one of several hosts.

Called as ``python tests/commands/one_host.py learn_classifier OPTIONS…``.
"""

import importlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import models

if __name__ == "__main__":
    models.FAMILIES["tests.commands.tiny_network"] = ("tiny", "tiny-wide")
    command = importlib.import_module(sys.argv[1])
    sys.argv = [f"{sys.argv[1]}.py", *sys.argv[2:]]
    sys.exit(command.main())
