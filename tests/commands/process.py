"""Run a command with the tiny networks: python -m tests.commands.process COMMAND OPTION…"""

import importlib
import sys

from cli import console
from tests.commands import tiny_network

if __name__ == "__main__":
    command = importlib.import_module(sys.argv[1])
    with tiny_network.registered():
        console.end_process(lambda: command.main(sys.argv[2:]))
