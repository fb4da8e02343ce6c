"""Run a training command in a separate process, which may be one of several hosts.

Called as ``python tests/commands/one_host.py learn_classifier OPTIONS…``. With ``TERMINATE_AT=N``
in the environment it sends itself SIGTERM in its N-th step.
"""

import importlib
import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import models
from cli import console


def terminate_at(step: int) -> None:
    """Send SIGTERM at the end of a step, counted from 1 over all epochs."""
    from training.snapshots.callback import Snapshot

    whole, ended = Snapshot.on_train_batch_end, []

    def batch_end(self, batch, logs=None):
        ended.append(batch)
        if len(ended) == step:
            os.kill(os.getpid(), signal.SIGTERM)
        whole(self, batch, logs)

    Snapshot.on_train_batch_end = batch_end


if __name__ == "__main__":
    models.FAMILIES["tests.commands.tiny_network"] = ("tiny", "tiny-wide")
    if "TERMINATE_AT" in os.environ:
        terminate_at(int(os.environ["TERMINATE_AT"]))
    command = importlib.import_module(sys.argv[1])
    sys.argv = [f"{sys.argv[1]}.py", *sys.argv[2:]]
    console.end_process(command.main)
