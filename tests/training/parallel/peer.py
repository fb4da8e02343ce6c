"""One process of several that only wait for each other, for tests of their messages.

Called as ``python tests/training/parallel/peer.py PORT PROCESSES RANK WHAT``. With WHAT ``fail`` it
ends with an error after some steps, with ``early`` before the first one, and with ``differ`` it
claims to have other options; otherwise it continues for a minute.
"""

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

import numpy as np

from cli import console
from training.options import HostOptions
from training.parallel import joining
from utils import UserError

STEPS = 600


def work(args: argparse.Namespace) -> None:
    from jax.experimental import multihost_utils

    options = HostOptions(
        args.processes, args.rank, f"127.0.0.1:{args.port}", join_timeout=args.join, lost_timeout=4
    )
    peers = joining.join(options, {"--epochs": 4 if args.what == "differ" else 3, "--seed": 0})
    if args.what == "early":
        raise UserError("cannot read image 3")
    with peers.together():
        for step in range(STEPS):
            multihost_utils.broadcast_one_to_all(np.ones(1))
            if step == 1:
                print("under way", flush=True)
            if step == 3 and args.what == "fail":
                raise UserError("cannot read image 7")
            time.sleep(0.1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="peer.py")
    for name in ("port", "processes", "rank"):
        parser.add_argument(name, type=int)
    parser.add_argument("what")
    parser.add_argument("--join", type=int, default=60)
    console.end_process(
        lambda: console.run(parser, work, backend=False, in_child=lambda args: True)
    )
