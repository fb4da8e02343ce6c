"""Garbage collection that keeps the memory of long runs constant."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import keras


class GarbageOfEpochs(keras.callbacks.Callback):
    """Collect garbage after every epoch, except among the objects of the first one.

    Whenever Keras writes a file, it leaves layers that refer to each other. Python by itself looks
    for such garbage when a quarter has come to the objects that have stayed so far: hundreds of
    thousands with a backend, which takes a thousand epochs and tens of megabytes. To look at the
    objects of an epoch takes a millisecond.
    """

    def __init__(self):
        super().__init__()
        self.set_apart = False

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if not self.set_apart:
            self.set_apart = True
            gc.freeze()
        gc.collect()


@contextmanager
def all_objects_looked_at() -> Iterator[None]:
    """Let Python collect all objects again after the ``with`` block."""
    try:
        yield
    finally:
        gc.unfreeze()
