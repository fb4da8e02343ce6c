"""The snapshot file: a Keras weights file (HDF5) with additional entries for the state of a run.

``run_optimizer`` has the variables of the optimizer, ``run_random`` the random states of dropout,
``run_copies`` copies of the weights, such as their moving average, ``running_metrics`` the sums of
the metrics of an unfinished epoch, and ``run_state`` everything else as JSON, including the metrics
of all epochs.
"""

import json
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import keras
import numpy as np

from models.files.saved import uncompiled
from models.initialization import random_states
from storage.files import replacing
from storage.hdf5 import open_hdf5
from storage.seals import check_seal, seal
from storage.temporary import temporary_folder
from training.callbacks.epoch_log import Record
from training.parallel import backend, hosts, replicas
from training.snapshots.identity import WORD_VECTORS
from utils import UserError, one_line

STATE = "run_state"
METRICS = "running_metrics"
OPTIMIZER = "run_optimizer"
RANDOM = "run_random"
COPIES = "run_copies"

LAST_LAYERS = "last layers"
ALL_LAYERS = "all layers"

PLATEAU_STATE = ("best", "wait", "cooldown_counter")
"""Attributes of ``keras.callbacks.ReduceLROnPlateau`` that a snapshot keeps."""


@dataclass(frozen=True)
class RunState:
    """Progress and identity of a run."""

    epoch: int  # number of finished epochs
    identity: dict  # data, network, objective and libraries; must be equal for a run to resume
    records: list[Record] = field(default_factory=list)  # metrics of the epochs so far
    plateau: dict[str, float] = field(default_factory=dict)  # see ``PLATEAU_STATE``
    metric: str | None = None  # metric by which snapshots are chosen, or None
    best: float | None = None  # its best value so far
    step: int = 0  # finished steps of the next epoch; if all are, validation comes next
    phase: str = ALL_LAYERS  # layers that are trained, ``LAST_LAYERS`` or ``ALL_LAYERS``
    began: int = 0  # number of epochs that counted as done when the run began
    run: str = ""  # unique run ID

    @property
    def progress(self) -> str:
        """Epoch and step, for messages."""
        if self.phase == ALL_LAYERS and self.epoch == self.began and not self.step:
            return f"the start of epoch {self.epoch + 1}"
        epochs = f"epoch {self.epoch}" + (", step " + str(self.step) if self.step else "")
        return f"{epochs} of the {LAST_LAYERS}" if self.phase == LAST_LAYERS else epochs


def save_snapshot(
    path: Path, model: keras.Model, state: RunState, copies: Sequence[keras.Variable] = ()
) -> None:
    """Write weights, optimizer, state, and further variables of the run.

    Raises:
        UserError: the file cannot be written; a previous snapshot is kept.
    """
    replicas.average_statistics(model)
    backend.sync_variables(model)
    with hosts.on_its_own(), replacing(path, suffix=".weights.h5") as temporary:
        uncompiled(model).save_weights(temporary)
        with h5py.File(temporary, "a") as file:
            # Fixed length: HDF5 may allocate gigabytes for a damaged text of variable length.
            file[STATE] = np.bytes_(json.dumps(vars(state)))
            _store(file.create_group(OPTIMIZER), model.optimizer.variables)
            _store(file.create_group(RANDOM), [state for state, _ in random_states(model)])
            _store(file.create_group(COPIES), copies)
            _store(file.create_group(METRICS), model.metrics_variables if state.step else [])
            seal(file)


def _store(group: h5py.Group, variables: Sequence[keras.Variable]) -> None:
    for number, variable in enumerate(variables):
        group[str(number)] = keras.ops.convert_to_numpy(variable)


def read_state(path: Path) -> RunState:
    """Read the state in a snapshot.

    Raises:
        UserError: the file is not a snapshot, or is damaged.
    """
    with _opened(path) as file:
        check_seal(file, required=True)
        state = RunState(**json.loads(file[STATE][()]))
        if not all(isinstance(record, dict) for record in state.records):
            raise ValueError("from an earlier version")
        return state


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    """Open a snapshot.

    Raises:
        UserError: the file is not a snapshot, or is damaged.
    """
    try:
        with open_hdf5(path) as file:
            yield file
    except Exception as error:  # h5py raises almost anything for damaged files
        raise UserError(
            f"--snapshot {path}: is not a snapshot of a training run, is damaged or "
            "from an earlier version; move it away to start over"
        ) from error


def read_snapshot(path: Path, identity: dict) -> RunState:
    """Read the state in a snapshot of this run.

    Raises:
        UserError: the file is not a snapshot, or belongs to another run.
    """
    state = read_state(path)
    recorded = state.identity
    other = [k for k in identity if recorded.get(k) != identity[k]]
    if other:
        differences = ", ".join(_difference(k, recorded.get(k), identity[k]) for k in other)
        raise UserError(f"--snapshot {path}: belongs to another run, with {differences}")
    return state


def _difference(name: str, recorded: str | None, given: str) -> str:
    if recorded is None:  # by a version before this one
        return f"{name} unknown instead of {given!r}"
    if name == WORD_VECTORS:  # of which a count and a hash tell a user nothing
        return f"other {name} than those given (resume with the --word_vectors it began with)"
    return f"{name} {recorded!r} instead of {given!r}"


def restore(path: Path, model: keras.Model, copies: Sequence[keras.Variable] = ()) -> None:
    """Load a snapshot into a compiled model whose optimizer is built.

    ``copies`` are the further variables of the run.

    Raises:
        UserError: the snapshot does not fit the model, or is of weights that are not finite.
    """
    with _opened(path) as file:
        part = _not_finite(file)
        values = [*_arrays(file[OPTIMIZER]), *_arrays(file[COPIES])]
        random = _arrays(file[RANDOM])
    if part:
        raise UserError(
            f"--snapshot {path}: {part} has values that are not finite numbers; "
            "move it away to start over"
        )
    _load_weights(path, model)
    variables = [*model.optimizer.variables, *copies]
    if [tuple(variable.shape) for variable in variables] != [value.shape for value in values]:
        raise UserError(f"--snapshot {path}: its optimizer differs from that of this run")
    states = [state for state, _ in random_states(model)]
    for variable, value in zip([*variables, *states], [*values, *random], strict=True):
        variable.assign(value)


def _load_weights(path: Path, model: keras.Model) -> None:
    with temporary_folder(path) as folder:
        # Keras chooses the format by the suffix, and a snapshot may have any.
        link = folder / "snapshot.weights.h5"
        link.symlink_to(path.resolve())
        try:
            with warnings.catch_warnings():
                # Keras only warns about layers that are missing in the file.
                warnings.simplefilter("error", UserWarning)
                uncompiled(model).load_weights(link)
        except (OSError, RuntimeError, ValueError, KeyError, UserWarning) as error:
            reason = one_line(error)
            raise UserError(f"--snapshot {path}: does not fit this network: {reason}") from error


def _not_finite(file: h5py.File) -> str | None:
    """Return the part of a snapshot that has variables which are not finite, or None."""

    def wrong(name: str, item: h5py.Group | h5py.Dataset) -> str | None:
        if not isinstance(item, h5py.Dataset) or name == STATE:
            return None
        return None if np.isfinite(item[()]).all() else name.split("/")[0]

    return file.visititems(wrong)


def read_metrics(path: Path) -> list[np.ndarray]:
    """Read the sums of the metrics of the unfinished epoch; empty between epochs.

    Raises:
        UserError: the file is damaged.
    """
    with _opened(path) as file:
        return _arrays(file[METRICS])


def _arrays(group: h5py.Group) -> list[np.ndarray]:
    """Return what ``_store`` stored."""
    return [group[str(number)][()] for number in range(len(group))]
