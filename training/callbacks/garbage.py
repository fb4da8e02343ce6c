"""Garbage collection that keeps the memory use of long runs constant."""

import gc

import keras


class GarbageOfEpochs(keras.callbacks.Callback):
    """Collect garbage after every epoch, ignoring all objects that exist after the first one.

    Whenever Keras writes a file, it leaves layers in reference cycles. Python collects these only
    after the number of objects has grown by a quarter. With a backend, there are hundreds of
    thousands, so this takes a thousand epochs and tens of megabytes. Looking only at the objects of
    one epoch takes a millisecond.
    """

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if not gc.get_freeze_count():
            gc.freeze()
        gc.collect()

    def on_train_end(self, logs: dict | None = None) -> None:
        gc.unfreeze()
