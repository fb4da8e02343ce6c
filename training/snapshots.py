"""Snapshots: one file with all that a run needs to go on after an interruption.

The file is a Keras weights file (HDF5) of the compiled model, hence with the optimizer's momentum,
and a JSON text ``run_state`` inside. It appears under its name only when it is complete.
"""

import json
import logging
import math
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path

import h5py
import keras

from files import replacing
from models.hdf5_files import open_hdf5
from training.reporting import EpochReporter, Record
from utils import UserError

logger = logging.getLogger(__name__)

STATE = "run_state"
STEPS = "optimizer_steps"
PLATEAU_STATE = ("best", "wait", "cooldown_counter")


@dataclass(frozen=True)
class RunState:
    """Where a run stands after an epoch.

    Attributes:
        epoch: how many epochs are done.
        identity: data set, network and objective; a snapshot only fits a run with the same.
        records: the figures of the epochs so far.
        plateau: state of a schedule that waits for the validation loss.
        metric: what chooses snapshots, if anything does.
        best: its best value so far.
    """

    epoch: int
    identity: dict
    records: list[Record] = field(default_factory=list)
    plateau: dict[str, float] = field(default_factory=dict)
    metric: str | None = None
    best: float | None = None


def save_snapshot(path: Path, model: keras.Model, state: RunState) -> None:
    """Writes weights, optimizer and state.

    Raises:
        UserError: the file cannot be written; an older snapshot stays as it is.
    """
    with replacing(path, suffix=".weights.h5") as temporary:
        model.save_weights(temporary)
        with h5py.File(temporary, "a") as file:
            file[STATE] = json.dumps(asdict(state))
            file.attrs[STEPS] = _steps(model)


def read_snapshot(path: Path, identity: dict) -> RunState:
    """The state inside a snapshot.

    Raises:
        UserError: the file is no snapshot, or one of another run.
    """
    try:
        with open_hdf5(path) as file:
            state = RunState(**json.loads(file[STATE][()]))
        if not isinstance(state.identity, dict) or not _are_records(state):
            raise ValueError("an entry of another type")
    except Exception as error:  # h5py raises almost anything for damaged files
        raise UserError(
            f"--snapshot {path}: is not a snapshot of a training run, or is damaged; "
            "move it away to start anew"
        ) from error
    other = [k for k in identity if state.identity.get(k) != identity[k]]
    if other:
        differences = ", ".join(
            f"{name} {state.identity.get(name)!r} instead of {identity[name]!r}" for name in other
        )
        raise UserError(f"--snapshot {path}: belongs to another run, with {differences}")
    return state


def _are_records(state: RunState) -> bool:
    """Whether the epochs are counted and recorded as a run does it."""
    counted = type(state.epoch) is int and state.epoch >= 0
    lists = isinstance(state.records, list) and isinstance(state.plateau, dict)
    return counted and lists and all(isinstance(record, dict) for record in state.records)


def restore(path: Path, model: keras.Model) -> None:
    """Loads weights and optimizer of a snapshot into a compiled model whose optimizer is built.

    Raises:
        UserError: they do not fit the model.
    """
    with tempfile.TemporaryDirectory() as folder:
        # Keras chooses the format by the ending, and a snapshot may have any.
        link = Path(folder) / "snapshot.weights.h5"
        link.symlink_to(path.resolve())
        try:
            model.load_weights(link)
        except (OSError, ValueError, KeyError) as error:
            reason = " ".join(str(error).split())
            raise UserError(f"--snapshot {path}: does not fit this network: {reason}") from error
    # Where the optimizer's state does not fit, Keras goes on without it, and only warns.
    with h5py.File(path, "r") as file:
        if file.attrs.get(STEPS) != _steps(model):
            raise UserError(f"--snapshot {path}: its optimizer is not that of this run")


def _steps(model: keras.Model) -> int:
    return int(keras.ops.convert_to_numpy(model.optimizer.iterations))


class Snapshot(keras.callbacks.Callback):
    """Writes a snapshot after every epoch, or after those that improve a metric.

    Stands behind the reporter and the schedule in the list of callbacks, whose state it saves.

    Args:
        path: the file.
        identity: see ``RunState``.
        reporter: has the figures of the epochs.
        plateau: callback whose waiting is part of the state, or None.
        metric: only an epoch that improves it is kept; losses improve downwards, others upwards.
        resumed: the state that the run goes on from.
    """

    def __init__(
        self,
        path: Path,
        identity: dict,
        reporter: EpochReporter,
        plateau: keras.callbacks.ReduceLROnPlateau | None = None,
        metric: str | None = None,
        resumed: RunState | None = None,
    ):
        super().__init__()
        self.path = path
        self.identity = identity
        self.reporter = reporter
        self.plateau = plateau
        self.metric = metric
        self.resumed = resumed
        self.best = resumed.best if resumed and resumed.metric == metric else None
        self.error: UserError | None = None

    def on_train_begin(self, logs: dict | None = None) -> None:
        # Keras resets the plateau's state when training begins, so it is restored here.
        if self.plateau and self.resumed:
            for name, value in self.resumed.plateau.items():
                setattr(self.plateau, name, value)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if not self._wanted(logs or {}):
            return
        plateau = {n: float(getattr(self.plateau, n)) for n in PLATEAU_STATE if self.plateau}
        state = RunState(
            epoch + 1,
            self.identity,
            self.reporter.records,
            plateau,
            self.metric,
            self.best,
        )
        try:
            save_snapshot(self.path, self.model, state)
            self.error = None
        except UserError as error:
            # The weights in memory are worth more than a file: go on and try again next epoch.
            logger.error("%s; training goes on", error)
            self.error = error

    def _wanted(self, logs: dict) -> bool:
        if self.metric is None:
            return True
        value = float(logs[self.metric])
        score = -value if "loss" in self.metric else value
        best = None if self.best is None else (-self.best if "loss" in self.metric else self.best)
        if math.isnan(value) or (best is not None and score <= best):
            return False
        self.best = value
        return True


def plateau_of(
    callbacks: tuple[keras.callbacks.Callback, ...],
) -> keras.callbacks.ReduceLROnPlateau | None:
    """The callback that waits for the validation loss, if there is one."""
    plateaus = [c for c in callbacks if isinstance(c, keras.callbacks.ReduceLROnPlateau)]
    return plateaus[0] if plateaus else None
