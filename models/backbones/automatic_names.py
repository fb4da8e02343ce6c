"""The names that Keras 2 gave to layers without one."""

from collections import Counter


class AutomaticNames:
    """Number the unnamed layers of one network by kind, from 1 on: ``conv2d_1``, ``conv2d_2``.

    Weights are loaded by name, and Keras 3 counts from 0 and over all networks of a process.
    """

    def __init__(self):
        self._counts = Counter()

    def __call__(self, kind: str) -> str:
        """Return the next name of a kind, which is the class of a layer in snake case."""
        self._counts[kind] += 1
        return f"{kind}_{self._counts[kind]}"
