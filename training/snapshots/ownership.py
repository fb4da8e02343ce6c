"""Which files a run finds that it wrote itself before it was interrupted.

The record beside a file tells the run that it is of; the snapshot knows its run.
"""

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path

import keras

from storage.files import leftovers
from storage.records import record_path
from training.callbacks.epoch_log import EpochReporter
from training.options import OutputOptions
from training.record import record_paths, write_run_record
from training.snapshots.file import read_state
from utils import UserError, read_bytes

logger = logging.getLogger(__name__)

_LARGEST = 2**26  # bytes


class Owner:
    """The run that a snapshot is of.

    Args:
        snapshot: the file; without one, or if there is none yet, nothing is the run's own.
        epochs: how many the command asks for.

    Raises:
        UserError: the file is no snapshot, or is damaged.
    """

    def __init__(self, snapshot: Path | None, epochs: int | None):
        known = snapshot is not None and os.path.exists(snapshot)
        self.run = read_state(snapshot).run if known else ""
        self.epochs = epochs

    def began(self, record: Path) -> bool:
        """Whether a record is of this run."""
        return bool(self.run) and run_of(record) == self.run

    def wrote(self, path: Path) -> bool:
        """Whether a result, if it exists, is of this run and of as many epochs.

        One of fewer epochs is another result, which only ``--overwrite`` may replace.
        """
        return bool(self.run) and is_of(record_path(path), self.run, self.epochs)


def begin_records(outputs: OutputOptions, record: Mapping[str, object]) -> None:
    """Writes the record of a run that begins beside all that it is going to save.

    A result of another run, which is going to be replaced, keeps its own until then.

    Args:
        outputs: of the run.
        record: see ``training.saving.run_record``.

    Raises:
        UserError: a file cannot be written.
    """
    others = {
        record_path(path)
        for path in _results(outputs)
        if os.path.exists(path) and not same_result(record_path(path), record)
    }
    for path in record_paths(outputs):
        if path not in others:
            write_run_record(path, record)


class RecordOfHistory(keras.callbacks.Callback):
    """Writes the record beside a history once this run has replaced what was there.

    Stands behind the reporter, which writes the history.

    Args:
        reporter: of the run.
        record: see ``begin_records``.
    """

    def __init__(self, reporter: EpochReporter, record: Mapping[str, object]):
        super().__init__()
        self.reporter = reporter
        self.record = record
        self._written = False

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if self._written or self.reporter.history is None or self.reporter.error:
            return
        self._written = True
        path = record_path(self.reporter.history)
        try:
            if not same_result(path, self.record):
                write_run_record(path, self.record)
        except UserError as error:
            logger.error("%s; training goes on", error)  # it is tried again at the end


def same_result(path: Path, record: Mapping[str, object]) -> bool:
    """Whether the record in a file is of the same run, and of as many epochs, as another."""
    return is_of(path, record["run"], record["options"].get("epochs"))


def is_of(record: Path, run: str, epochs: int | None) -> bool:
    """Whether a record is of a run of so many epochs: fewer make another result."""
    options = _read(record).get("options")
    return isinstance(options, dict) and options.get("epochs") == epochs and run_of(record) == run


def run_of(record: Path) -> str | None:
    """The run that a record is of; None if there is no record."""
    return _read(record).get("run")


def _results(outputs: OutputOptions) -> list[Path]:
    """What replaces what another run has left, if ``--overwrite`` is given."""
    named = (outputs.model_dump, outputs.weight_dump, outputs.feature_dump, outputs.history)
    return [path for path in named if path]


def _read(record: Path) -> dict:
    try:
        content = json.loads(read_bytes(record, _LARGEST))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def remove_leftovers(outputs: OutputOptions, run: str, resumed: bool = False) -> None:
    """Removes half-written files that this run left when it was killed.

    Call it only while no other run uses the snapshot.

    Args:
        outputs: of the run.
        run: see ``RunState``.
        resumed: whether it was begun before, and may have been replacing results of others.
    """
    replacing = resumed and outputs.overwrite
    own = [path for path in _results(outputs) if replacing or run_of(record_path(path)) == run]
    # A record that is not there was to be written first of all.
    own += [path for path in record_paths(outputs) if replacing or run_of(path) in (None, run)]
    for path in filter(None, (outputs.snapshot, *own)):
        for temporary in leftovers(path):
            temporary.unlink(missing_ok=True)
