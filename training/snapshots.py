"""Snapshots: one file with all that a run needs to go on after an interruption.

The file is a Keras weights file (HDF5) of the compiled model, hence with the optimizer's momentum,
with the sums of the metrics of an epoch under way and a JSON text ``run_state`` inside. It appears
under its name only when it is complete.
"""

import functools
import json
import tempfile
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import h5py
import keras

from files import replacing
from models.hdf5_files import open_hdf5
from training import distribution, hosts, replicas
from training.reporting import Record
from utils import UserError

STATE = "run_state"
STEPS = "optimizer_steps"
METRICS = "running_metrics"

NEW_LAYERS = "new layers"
ALL_LAYERS = "all layers"


@dataclass(frozen=True)
class RunState:
    """Where a run stands.

    Attributes:
        epoch: how many epochs are done.
        identity: data, network, objective and libraries; a snapshot only fits a run with the same.
        records: the figures of the epochs so far.
        plateau: state of a schedule that waits for the validation loss.
        metric: what chooses snapshots, if anything does.
        best: its best value so far.
        step: how many steps of the next epoch are done; all of them: it is to be validated.
        phase: which layers are trained, ``NEW_LAYERS`` or ``ALL_LAYERS``.
        began: how many epochs counted as done when the run began.
        run: a text that no other run has.
    """

    epoch: int
    identity: dict
    records: list[Record] = field(default_factory=list)
    plateau: dict[str, float] = field(default_factory=dict)
    metric: str | None = None
    best: float | None = None
    step: int = 0
    phase: str = ALL_LAYERS
    began: int = 0
    run: str = ""

    @property
    def place(self) -> str:
        """Where that is, for people."""
        epochs = f"epoch {self.epoch}" + (", step " + str(self.step) if self.step else "")
        return f"{epochs} of the new layers" if self.phase == NEW_LAYERS else epochs


def save_snapshot(path: Path, model: keras.Model, state: RunState) -> None:
    """Writes weights, optimizer and state.

    Raises:
        UserError: the file cannot be written; an older snapshot stays as it is.
    """
    replicas.average_statistics(model)
    distribution.settle(model)
    with hosts.on_its_own(), replacing(path, suffix=".weights.h5") as temporary:
        _without_optimizer(model).save_weights(temporary)
        with h5py.File(temporary, "a") as file:
            # Where Keras puts it; but Keras 3.15 itself loses 70 kB of memory each time it does.
            model.optimizer.save_own_variables(file.create_group("optimizer/vars"))
            file[STATE] = json.dumps(asdict(state))
            file.attrs[STEPS] = _steps(model)
            sums = file.create_group(METRICS)
            for number, variable in enumerate(model.metrics_variables if state.step else ()):
                sums[str(number)] = keras.ops.convert_to_numpy(variable)


@functools.lru_cache(maxsize=1)
def _without_optimizer(model: keras.Model) -> keras.Model:
    """The same layers as a model that was not compiled."""
    return keras.Model(model.inputs, model.outputs)


def read_state(path: Path) -> RunState:
    """The state inside a snapshot.

    Raises:
        UserError: the file is no snapshot, or is damaged.
    """
    try:
        with open_hdf5(path) as file:
            found = json.loads(file[STATE][()])
            if STEPS not in file.attrs or METRICS not in file:
                raise KeyError(METRICS)
        state = RunState(**found)
        kinds = all(isinstance(getattr(state, f.name), _kind(f.type)) for f in fields(state))
        if not (kinds and _are_records(state)):
            raise ValueError("an entry of another type")
    except Exception as error:  # h5py raises almost anything for damaged files
        raise UserError(
            f"--snapshot {path}: is not a snapshot of a training run, or is damaged; "
            "move it away to start anew"
        ) from error
    return state


def _kind(annotation: object) -> object:
    """What ``isinstance`` takes, of an annotation."""
    return getattr(annotation, "__origin__", annotation)


def read_snapshot(path: Path, identity: dict) -> RunState:
    """The state inside a snapshot of this run.

    Raises:
        UserError: the file is no snapshot, or one of another run.
    """
    state = read_state(path)
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
    return counted and all(isinstance(record, dict) for record in state.records)


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
        except (OSError, RuntimeError, ValueError, KeyError) as error:
            reason = " ".join(str(error).split())
            raise UserError(f"--snapshot {path}: does not fit this network: {reason}") from error
    # Where the optimizer's state does not fit, Keras goes on without it, and only warns.
    with h5py.File(path, "r") as file:
        if file.attrs.get(STEPS) != _steps(model):
            raise UserError(f"--snapshot {path}: its optimizer is not that of this run")


def read_metrics(path: Path) -> list:
    """What the metrics of the epoch under way have summed up: arrays, none between epochs.

    Raises:
        UserError: the file is damaged.
    """
    try:
        with open_hdf5(path) as file:
            sums = file[METRICS]
            return [sums[str(number)][()] for number in range(len(sums))]
    except Exception as error:  # see ``read_state``
        raise UserError(f"--snapshot {path}: is damaged: {error}") from error


def _steps(model: keras.Model) -> int:
    return int(keras.ops.convert_to_numpy(model.optimizer.iterations))
