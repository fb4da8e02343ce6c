"""Garbage collection that keeps the memory of long runs constant."""

import gc

import keras


class GarbageOfEpochs(keras.callbacks.Callback):
    """Collect garbage after every epoch, except among the objects of the first one.

    Whenever Keras writes a file, it leaves layers that refer to each other. Python by itself looks
    for such garbage when a quarter has come to the objects that have stayed so far: hundreds of
    thousands with a backend, which takes a thousand epochs and tens of megabytes. To look at the
    objects of an epoch takes a millisecond.
    """

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if not gc.get_freeze_count():
            gc.freeze()
        gc.collect()

    def on_train_end(self, logs: dict | None = None) -> None:
        gc.unfreeze()
