"""One process of several that do nothing but add up a number; for tests of what they say.

Called as ``python tests/training/peer.py PORT PROCESSES RANK [WHAT]``. With WHAT ``fail`` it ends
with an error, with ``differ`` it says to have other options, otherwise it goes on for a minute.
"""

import logging
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np

from training.hosts import why_lost
from training.peers import Peers, tell_aborts, together
from utils import UserError


def work(port: int, processes: int, rank: int, what: str) -> None:
    import jax
    from jax.experimental import multihost_utils

    logging.getLogger("jax").setLevel(logging.WARNING)
    jax.distributed.initialize(f"127.0.0.1:{port}", processes, rank, heartbeat_timeout_seconds=5)
    peers = Peers(rank, processes)
    tell_aborts(lambda text: why_lost(peers, text))
    with together(peers):
        peers.watch()
        peers.agree("options", {"--epochs": 3 + (what == "differ"), "--seed": 0})
        peers.introduce()
        for step in range(600):
            multihost_utils.broadcast_one_to_all(np.ones(1))
            if step == 10:
                print("under way", flush=True)
                if what == "fail":
                    raise UserError("cannot read image 7")
            time.sleep(0.1)
