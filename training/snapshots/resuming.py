"""Resuming from a snapshot: whether it fits, and how to finish its unfinished epoch."""

import logging
import uuid
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import keras
import numpy as np

from training.callbacks.epoch_log import check_history
from training.options import OutputOptions
from training.snapshots.file import ALL_LAYERS, LAST_LAYERS, RunState, read_metrics, read_snapshot
from utils import UsageError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ResumePoint:
    """Starting point of a run, fresh or from a snapshot."""

    state: RunState  # epoch, step and so on
    resumed: bool = False  # whether the weights are in a snapshot
    sums: tuple[np.ndarray, ...] = ()  # metric sums of an unfinished epoch; empty between epochs

    def check_epochs(self, epochs: int) -> None:
        """Raise UsageError if the run has already been trained for more epochs, or would for none.

        ``epochs`` of 0 trains nothing on purpose.
        """
        if not self.resumed and 0 < epochs <= self.state.began:
            began = self.state.began
            raise UsageError(f"--initial_epoch {began}: the training has only {epochs} epochs")
        begun = self.state.epoch + (self.state.step > 0)
        if self.resumed and self.state.phase == ALL_LAYERS and begun > epochs:
            raise UsageError(
                f"--epochs {epochs}: the snapshot is of {self.state.progress}; "
                f"give at least --epochs {begun}, or another --snapshot"
            )

    def with_all_layers(self) -> "ResumePoint":
        """Return the starting point for training all layers, after training the last ones."""
        old = self.state
        return ResumePoint(
            RunState(old.began, old.identity, phase=ALL_LAYERS, began=old.began, run=old.run)
        )


def begin_or_resume(
    outputs: OutputOptions, identity: dict[str, str], initial_epoch: int, finetune: bool
) -> ResumePoint:
    """Return the starting point: that of the snapshot if it exists, otherwise of a new run.

    Args:
        outputs: the output files, including the snapshot.
        identity: see ``RunState``.
        initial_epoch: number of epochs that the user counts as done.
        finetune: whether a new run trains its last layers first.

    Raises:
        UserError: the snapshot is damaged, or belongs to another run.
        UsageError: ``initial_epoch`` or the history does not match the snapshot.
    """
    path = outputs.snapshot
    if path is None or not path.exists():
        phase = LAST_LAYERS if finetune else ALL_LAYERS
        epoch = 0 if finetune else initial_epoch
        state = RunState(epoch, identity, phase=phase, began=initial_epoch, run=uuid.uuid4().hex)
        return ResumePoint(state)
    state = read_snapshot(path, identity)
    if initial_epoch not in (0, state.began, state.epoch):
        raise UsageError(
            f"--initial_epoch {initial_epoch}: {path} resumes after epoch {state.epoch}; "
            "leave it out"
        )
    if outputs.history and not outputs.overwrite and state.phase == ALL_LAYERS:
        check_history(outputs.history, state.records)
    logger.info("Resuming from %s after %s", path, state.progress)
    return ResumePoint(state, True, tuple(read_metrics(path)))


class RestOfEpoch(keras.callbacks.Callback):
    """Make the first epoch of ``fit`` finish the snapshot's unfinished epoch.

    Must come first in the list of callbacks. The batches must skip the finished steps, too;
    ``sums`` are the metric sums of these steps.
    """

    def __init__(self, state: RunState, sums: Sequence[np.ndarray]):
        super().__init__()
        self.state = state
        self.sums = sums
        self.done = 0  # steps that the current epoch skips

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.done = self.state.step if epoch == self.state.epoch else 0
        if self.done:
            # Keras has just reset the metrics.
            for variable, value in zip(self.model.metrics_variables, self.sums, strict=True):
                variable.assign(value)

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        if self.done + batch >= self.params["steps"]:
            raise StopIteration  # which Keras takes as the end of the data


def end_epoch(
    model: keras.Model, callbacks: Sequence[keras.callbacks.Callback], state: RunState, epochs: int
) -> None:
    """Run the callbacks at the end of an epoch whose steps are all done, such as validation.

    ``Model.fit`` cannot do this: under JAX, an epoch without steps fails with an
    ``UnboundLocalError`` in Keras.
    """
    listeners = keras.callbacks.CallbackList(
        list(callbacks), model=model, epochs=epochs, steps=state.step, verbose=0
    )
    listeners.on_train_begin()
    listeners.on_epoch_begin(state.epoch)
    metrics = {name: float(value) for name, value in model.get_metrics_result().items()}
    listeners.on_epoch_end(state.epoch, metrics)
    listeners.on_train_end(metrics)


@contextmanager
def shorter_epoch_expected() -> Iterator[None]:
    """Silence Keras' warning about an epoch with fewer steps than others."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Your input ran out of data", UserWarning)
        yield


def build_metrics(model: keras.Model, label_shape: tuple[int, ...] = ()) -> None:
    """Create the metrics of a compiled model, which Keras would otherwise do in the first step."""
    zeros = [keras.ops.zeros((1, *output.shape[1:])) for output in model.outputs]
    labels = [keras.ops.zeros((1, *label_shape), "int32") for _ in zeros]
    if len(zeros) == 1:
        (zeros,), (labels,) = zeros, labels
    model.compute_loss(None, labels, zeros)
    model.compute_metrics(None, labels, zeros)
    model.reset_metrics()
