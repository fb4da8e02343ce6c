"""TensorBoard logs; if they cannot be written, the training continues without."""

import os
import socket
import time
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import keras

from storage.files import write_errors
from training.callbacks.failures import survived
from utils import UserError

if TYPE_CHECKING:
    from tensorboard.compat.proto.event_pb2 import Event


class Logs(keras.callbacks.Callback):
    """Log the network and the metrics of every epoch like Keras; stop logging after a failure.

    Keras' own callback needs TensorFlow under every backend, which in every step keeps the numbers
    passed to it for good (https://github.com/tensorflow/tensorflow/issues/68196).

    Args:
        folder: the log directory.

    Attributes:
        error: why logging stopped, or None.
    """

    def __init__(self, folder: Path):
        super().__init__()
        self.folder = folder
        self.error: UserError | None = None
        self._paths: dict[str, Path] = {}

    def on_train_begin(self, logs: dict | None = None) -> None:
        event = _event(step=0)
        drawing = event.summary.value.add(tag="keras")
        drawing.metadata.plugin_data.plugin_name = "graph_keras_model"
        drawing.metadata.plugin_data.content = b"1"  # version of what follows
        drawing.tensor.dtype = 7  # DT_STRING
        drawing.tensor.string_val.append(self.model.to_json().encode())
        self._write("train", event)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        rate = keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)
        events = defaultdict(partial(_event, step=epoch))
        for name, value in {**(logs or {}), "learning_rate": rate}.items():
            part = "validation" if name.startswith("val_") else "train"
            tag = f"epoch_{name.removeprefix('val_')}"
            events[part].summary.value.add(tag=tag, simple_value=float(value))
        for part, event in events.items():
            self._write(part, event)

    def _write(self, part: str, *events: "Event") -> None:
        if self.error:
            return
        from tensorboard.summary.writer.record_writer import RecordWriter

        with survived(self, "; training goes on without a log"), write_errors(self.folder):
            if part not in self._paths:
                self._paths[part] = _new_path(self.folder / part)
                events = _event(file_version="brain.Event:2"), *events
            with open(self._paths[part], "ab") as file:
                for event in events:
                    RecordWriter(file).write(event.SerializeToString())


def _event(**fields: object) -> "Event":
    from tensorboard.compat.proto.event_pb2 import Event

    return Event(wall_time=time.time(), **fields)


def _new_path(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}.{os.getpid()}"
