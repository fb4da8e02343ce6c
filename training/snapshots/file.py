"""The snapshot file: a Keras weights file (HDF5) with additional entries for the state of a run.

``run_optimizer`` has the variables of the optimizer, ``run_random`` the random states of dropout,
``run_copies`` copies of the weights, such as their moving average, ``running_metrics`` the sums of
the metrics of an unfinished epoch, ``run_records`` a table of the metrics of all epochs,
``run_measured`` which entries of the table exist, and ``run_state`` everything else as JSON,
including the column names of the table.
"""

import json
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from weakref import WeakKeyDictionary

import h5py
import keras
import numpy as np

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
RECORDS = "run_records"
MEASURED = "run_measured"

_MOST_EPOCHS = 1_000_000  # rows without columns would take no space in a damaged file
_MOST_STEPS = 1_000_000_000  # per epoch
_MOST_NUMBERS = 10_000_000

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
            return f"the training of the {LAST_LAYERS}"
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
        _network(model).save_weights(temporary)
        with h5py.File(temporary, "a") as file:
            columns = list(dict.fromkeys(name for record in state.records for name in record))
            # Fixed length: HDF5 may allocate gigabytes for a damaged text of variable length.
            file[STATE] = np.bytes_(json.dumps(vars(state) | {"records": columns}))
            file[RECORDS] = _table(state.records, columns)
            file[MEASURED] = _measured(state.records, columns)
            _store(file.create_group(OPTIMIZER), model.optimizer.variables)
            _store(file.create_group(RANDOM), [state for state, _ in random_states(model)])
            _store(file.create_group(COPIES), copies)
            _store(file.create_group(METRICS), model.metrics_variables if state.step else [])
            seal(file)


def _table(records: Sequence[Record], columns: Sequence[str]) -> np.ndarray:
    """Return a float64 array (records, columns), which takes a twentieth of the memory of JSON."""
    values = (record.get(name, math.nan) for record in records for name in columns)
    return np.fromiter(values, np.float64).reshape(len(records), len(columns))


def _measured(records: Sequence[Record], columns: Sequence[str]) -> np.ndarray:
    """Return a bool array (records, columns): which entries of the table exist."""
    values = (name in record for record in records for name in columns)
    return np.fromiter(values, bool).reshape(len(records), len(columns))


def _records(file: h5py.File, columns: object) -> list[Record]:
    """Return the records from ``_table``, without entries that do not exist.

    Raises:
        ValueError: the file has no such table.
    """
    table, measured = file[RECORDS], file[MEASURED]
    named = isinstance(columns, list) and all(isinstance(name, str) for name in columns)
    if not named or table.dtype != np.float64 or table.shape[1:] != (len(columns),):
        raise ValueError("no table of metrics")
    if max(table.shape) > _MOST_EPOCHS or table.size > _MOST_NUMBERS:
        raise ValueError("a table of far too many numbers")
    if measured.dtype != bool or measured.shape != table.shape:
        raise ValueError("no table of what was measured")
    rows = (
        {name: value for name, value, known in zip(columns, *pair, strict=True) if known}
        for pair in zip(table[()].tolist(), measured[()].tolist(), strict=True)
    )
    return [row | {"epoch": int(row["epoch"])} for row in rows]


_NETWORKS: "WeakKeyDictionary[keras.Model, keras.Model]" = WeakKeyDictionary()


def _network(model: keras.Model) -> keras.Model:
    """Return the same layers in a model that is not compiled.

    Each time Keras saves or loads the weights of a compiled model, it leaks 70 kB
    (seen in Keras 3.15 with TensorFlow 2.21; not reported upstream).
    """
    if model not in _NETWORKS:
        _NETWORKS[model] = keras.Model(model.inputs, model.outputs)
    return _NETWORKS[model]


def _store(group: h5py.Group, variables: Sequence[keras.Variable]) -> None:
    for number, variable in enumerate(variables):
        group[str(number)] = keras.ops.convert_to_numpy(variable)


def read_state(path: Path) -> RunState:
    """Read the state in a snapshot.

    Raises:
        UserError: the file is not a snapshot, or is damaged.
    """
    try:
        with open_hdf5(path) as file:
            check_seal(file, required=True)
            found = json.loads(file[STATE][()])
            if missing := {OPTIMIZER, COPIES, METRICS} - {*file}:
                raise KeyError(*missing)
            found["records"] = _records(file, found["records"])
        state = RunState(**found)
        _check(state)
    except Exception as error:  # h5py raises almost anything for damaged files
        raise UserError(
            f"--snapshot {path}: is not a snapshot of a training run, is damaged or "
            "from an earlier version; move it away to start over"
        ) from error
    return state


def _kind(annotation: object) -> object:
    """Return the type of an annotation for ``isinstance``: ``list`` for ``list[Record]``."""
    return getattr(annotation, "__origin__", annotation)


def _check(state: RunState) -> None:
    """Raise ValueError unless all values of a state are possible."""
    right = all(isinstance(getattr(state, f.name), _kind(f.type)) for f in fields(state))
    right = right and all(isinstance(text, str) for text in state.identity.values())
    counts = (state.epoch, state.began, state.step)
    right = right and all(type(count) is int and 0 <= count <= _MOST_STEPS for count in counts)
    right = right and max(state.epoch, state.began) <= _MOST_EPOCHS
    right = right and state.phase in (LAST_LAYERS, ALL_LAYERS)
    right = right and set(state.plateau) in (set(), set(PLATEAU_STATE))
    waits = [state.plateau.get(name, 0) for name in PLATEAU_STATE[1:]]
    right = right and all(0 <= wait <= _MOST_EPOCHS and wait == int(wait) for wait in waits)
    numbers = [*state.plateau.values(), *([] if state.best is None else [state.best])]
    if not right or not all(type(x) in (int, float) and not math.isnan(x) for x in numbers):
        raise ValueError("an entry that cannot be")


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
        UserError: the snapshot does not fit the model.
    """
    _check_numbers(path)
    with temporary_folder(path) as folder:
        # Keras chooses the format by the suffix, and a snapshot may have any.
        link = folder / "snapshot.weights.h5"
        link.symlink_to(path.resolve())
        try:
            with warnings.catch_warnings():
                # Keras only warns about layers that are missing in the file.
                warnings.simplefilter("error", UserWarning)
                _network(model).load_weights(link)
        except (OSError, RuntimeError, ValueError, KeyError, UserWarning) as error:
            told = one_line(error)
            raise UserError(f"--snapshot {path}: does not fit this network: {told}") from error
    variables = [*model.optimizer.variables, *copies]
    values = [*_read(path, OPTIMIZER), *_read(path, COPIES)]
    if [tuple(variable.shape) for variable in variables] != [value.shape for value in values]:
        raise UserError(f"--snapshot {path}: its optimizer differs from that of this run")
    states = [state for state, _ in random_states(model)]
    for variable, value in zip([*variables, *states], [*values, *_read(path, RANDOM)], strict=True):
        variable.assign(value)


def _check_numbers(path: Path) -> None:
    """Raise UserError unless all variables in a snapshot are finite, even as float32."""

    def wrong(name: str, item: h5py.Group | h5py.Dataset) -> str | None:
        if not isinstance(item, h5py.Dataset) or name in (STATE, RECORDS):
            return None
        with np.errstate(all="ignore"):
            values = item[()].astype(np.float32) if item.dtype.kind in "biuf" else np.nan
        return None if np.isfinite(values).all() else name.split("/")[0]

    try:
        with open_hdf5(path) as file:
            part = file.visititems(wrong)
    except Exception as error:  # see ``read_state``
        raise UserError(f"--snapshot {path}: is damaged: {error}") from error
    if part:
        raise UserError(
            f"--snapshot {path}: {part} has values that are not finite numbers; "
            "move it away to start over"
        )


def read_metrics(path: Path) -> list[np.ndarray]:
    """Read the sums of the metrics of the unfinished epoch; empty between epochs.

    Raises:
        UserError: the file is damaged.
    """
    return _read(path, METRICS)


def _read(path: Path, group: str) -> list[np.ndarray]:
    try:
        with open_hdf5(path) as file:
            return [file[group][str(number)][()] for number in range(len(file[group]))]
    except Exception as error:  # see ``read_state``
        raise UserError(f"--snapshot {path}: is damaged: {error}") from error
