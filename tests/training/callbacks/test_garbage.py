"""Garbage collection after every epoch."""

import gc
import subprocess
import sys
import weakref
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).parents[3]


class Circle:
    def __init__(self):
        self.itself = self


def leave_garbage():
    # Nothing of Keras' own base class is needed, and to import it takes seconds.
    sys.modules["keras"] = SimpleNamespace(callbacks=SimpleNamespace(Callback=object))
    from training.callbacks.garbage import GarbageOfEpochs

    callback = GarbageOfEpochs()
    gc.disable()
    early = Circle()
    callback.on_epoch_end(0)
    assert gc.get_freeze_count() > 0
    before, within = weakref.ref(early), weakref.ref(Circle())
    del early
    assert within() is not None
    callback.on_epoch_end(1)
    assert within() is None and before() is not None
    callback.on_train_end()
    assert gc.get_freeze_count() == 0
    gc.collect()
    assert before() is None


def test_garbage_of_an_epoch_goes_and_older_objects_are_looked_at_again_later():
    # In a process of its own: what other tests have left of TensorFlow may take minutes to remove.
    done = subprocess.run(
        [sys.executable, "-c", f"from {__name__} import leave_garbage; leave_garbage()"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
