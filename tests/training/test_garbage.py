"""Garbage of long runs goes after every epoch."""

import gc
import weakref

from training.garbage import GarbageOfEpochs, all_objects_looked_at


class Circle:
    def __init__(self):
        self.itself = self


def looked_at(wanted) -> bool:
    return any(each is wanted for each in gc.get_objects())


def test_garbage_of_an_epoch_goes_and_older_objects_are_looked_at_again_later():
    callback = GarbageOfEpochs()
    gc.disable()
    try:
        with all_objects_looked_at():
            early = Circle()
            callback.on_epoch_end(0)
            assert gc.get_freeze_count() > 0
            before, within = weakref.ref(early), weakref.ref(Circle())
            del early
            assert within() is not None
            callback.on_epoch_end(1)
            assert within() is None and before() is not None
            assert not looked_at(before())
        # A full collection, which may take minutes beside the objects of TensorFlow, is left out.
        assert gc.get_freeze_count() == 0 and looked_at(before())
    finally:
        gc.enable()
