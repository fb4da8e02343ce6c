"""How commands end."""

import os
import subprocess
import sys
from pathlib import Path

COMMAND = """
import argparse, logging, sys
import console

def command(args):
    print("caf\u00e9 \u20ac")
    logging.getLogger("results").info("na\u00efve")

sys.exit(console.run(argparse.ArgumentParser("command.py"), command, [], backend=False))
"""


def test_letters_that_standard_output_lacks_are_escaped():
    for encoding, expected in (
        ("ascii", b"caf\\xe9 \\u20ac\nna\\xefve\n"),
        ("utf-8", "café €\nnaïve\n".encode()),
    ):
        outcome = subprocess.run(
            [sys.executable, "-c", COMMAND],
            cwd=Path(__file__).parents[1],
            env={**os.environ, "PYTHONIOENCODING": encoding},
            capture_output=True,
        )
        assert outcome.returncode == 0, outcome.stderr
        assert outcome.stdout.splitlines() == expected.splitlines()
