"""Runs a Python script that ends when whoever started it ends, in whatever way.

``python tied.py LOCK SCRIPT ARGUMENT…``, with standard input from a pipe that nobody writes to: the
system closes it with the starting process, even when that is killed. The script then gets a
SIGTERM, and SIGKILL if it goes on for longer than ``GRACE``. It waits until no other script holds
the file LOCK, such as one that is still ending.

Uses the standard library only, and nothing of this project.
"""

import os
import runpy
import signal
import sys
import threading
import time

try:
    import fcntl
except ImportError:  # Windows: scripts do not wait for each other
    fcntl = None

GRACE = 60  # seconds that a script has to save its state


def _end_with_starter() -> None:
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))


def main() -> None:
    """Runs the script as if it had been started itself."""
    _, lock, script, *_ = sys.argv
    threading.Thread(target=_end_with_starter, daemon=True).start()
    with open(lock, "a") as held:
        if fcntl:
            fcntl.flock(held, fcntl.LOCK_EX)
        sys.argv = sys.argv[2:]
        sys.path[0] = os.path.dirname(os.path.abspath(script))
        runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main()
