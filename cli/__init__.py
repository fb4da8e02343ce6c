"""The command line: options grouped by topic, errors and signals."""

import sys

from cli.failures import show

sys.excepthook = show
