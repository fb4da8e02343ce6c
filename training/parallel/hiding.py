"""Installed libraries that are not to be imported, because that takes seconds for nothing."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

UNNEEDED = {"jax", "matplotlib", "sklearn"}
"""What Keras and TensorFlow import when it is installed, for nothing that this project uses.

That takes up to a third of the time that their own import takes.
"""


@contextmanager
def hidden(names: Iterable[str]) -> Iterator[None]:
    """Makes libraries look as if they were not installed; those imported already stay."""
    absent = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]
