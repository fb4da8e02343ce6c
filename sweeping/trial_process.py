"""Run a Python script that ends when the process that started it ends, even if it is killed.

``python trial_process.py GRACE LOCK SCRIPT ARGUMENT…``, with standard input from a pipe that nobody
writes to, and which the system closes when the starting process ends. The script then gets SIGTERM,
and SIGKILL after GRACE seconds. It starts when no other script holds the lock on the file LOCK,
such as one that is still ending.
"""

import os
import runpy
import signal
import sys
import threading
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[1])

from storage.locks import locked


def _end_with_starter(grace: float) -> None:
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(grace)
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))


def main() -> None:
    """Run the script as if it had been started itself."""
    _, grace, lock, script, *_ = sys.argv
    threading.Thread(target=_end_with_starter, args=[float(grace)], daemon=True).start()
    with locked(Path(lock), busy=lambda: print(f"Waiting for the process that holds {lock}")):
        sys.argv = sys.argv[3:]
        sys.path[0] = os.path.dirname(os.path.abspath(script))
        runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main()
