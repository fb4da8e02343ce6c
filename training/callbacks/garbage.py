"""Garbage collection that keeps the memory use of long runs constant."""

import gc

import keras


class GarbageOfEpochs(keras.callbacks.Callback):
    """Collect garbage after every epoch, ignoring all objects that exist after the first one.

    Whenever Keras 3.15 writes a file, it leaves layers in reference cycles; no issue is known.
    Python collects them when a quarter of all objects is new: with a backend, after a thousand
    epochs (https://docs.python.org/3.13/library/gc.html#gc.set_threshold).
    """

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if not gc.get_freeze_count():
            gc.freeze()
        gc.collect()

    def on_train_end(self, logs: dict | None = None) -> None:
        gc.unfreeze()
