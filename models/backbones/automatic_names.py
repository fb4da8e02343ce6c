"""Default layer names of Keras 2."""

from collections import Counter


class AutomaticNames:
    """Generate Keras 2's default layer names for one network: ``conv2d_1``, ``conv2d_2`` …

    Weights are loaded by name, but Keras 3 counts from 0 and across all networks of a process.
    """

    def __init__(self):
        self._counts = Counter()

    def __call__(self, kind: str) -> str:
        """Return the next name for a kind of layer, given its class in snake case."""
        self._counts[kind] += 1
        return f"{kind}_{self._counts[kind]}"
