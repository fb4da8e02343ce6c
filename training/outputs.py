"""The files of a run: which it may write, and the record beside each that tells whose it is.

``FILE.run.json`` is written beside every output when training begins, and once more at the end. It
has the unique ID of the run, as the snapshot does, and the digest of the result, once there is one.
A run that is resumed so knows its own files, which it writes again; all others are refused without
``--overwrite``, and keep their record until they are replaced.
"""

import importlib.util
import json
import logging
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import keras

from evaluation.feature_dumps import SUFFIXES
from models.files.saved import check_model_path, check_weights_path
from storage.outputs import check_distinct, check_folder, check_suffix, claim, hold
from storage.records import DIGEST, digest, record_path
from storage.temporary import remove_leftovers
from training.callbacks.epoch_log import EpochReporter
from training.options import OutputOptions
from training.record import folder_record, record_paths, write_run_record
from training.snapshots.file import read_state
from utils import UsageError, UserError, read_bytes

logger = logging.getLogger(__name__)

_LARGEST = 2**26  # bytes of a record

_FORMATS = {
    "model_dump": check_model_path,
    "weight_dump": check_weights_path,
    "feature_dump": lambda path: check_suffix("--feature_dump", path, SUFFIXES),
}
_RESULTS = (*_FORMATS, "history")
"""What replaces results of other runs, if ``--overwrite`` is given."""


def claim_outputs(outputs: OutputOptions, epochs: int | None = None) -> None:
    """Claim all outputs; refuse those that could not be written at the end of the training.

    Args:
        outputs: all files.
        epochs: number that the command asks for.

    Raises:
        UsageError: a path is not one of a new file, or of one that the run may replace.
        UserError: the snapshot is damaged, or another run is writing an output.
    """
    files = {name: path for name in _RESULTS if (path := getattr(outputs, name))}
    for name, check in _FORMATS.items():
        if name in files:
            check(files[name])
    snapshot = {"snapshot": outputs.snapshot} if outputs.snapshot else {}
    check_distinct((f"--{name}", path) for name, path in {**files, **snapshot}.items())
    for path in snapshot.values():
        claim("--snapshot", path, True)
    owner = _Owner(outputs.snapshot, epochs)
    for name, path in files.items():
        own = owner.began(record_path(path)) if name == "history" else owner.owns_result(path)
        claim(f"--{name}", path, outputs.overwrite or own)
    if outputs.log_dir:
        own = owner.began(folder_record(outputs.log_dir))
        _claim_log_dir(outputs.log_dir, outputs.overwrite or own)


class _Owner:
    """The run that a snapshot is of; before there is a snapshot, no file is its own.

    Args:
        snapshot: the file.
        epochs: number that the command asks for.

    Raises:
        UserError: the file is no snapshot, or is damaged.
    """

    def __init__(self, snapshot: Path | None, epochs: int | None):
        known = snapshot is not None and os.path.exists(snapshot)
        self.run = read_state(snapshot).run if known else ""
        self.epochs = epochs

    def began(self, record: Path) -> bool:
        """Whether a record is of this run, which goes on with its history and log."""
        return bool(self.run) and _run_of(record) == self.run

    def owns_result(self, path: Path) -> bool:
        """Whether this run wrote a file, as a run of as many epochs: of fewer, it is another."""
        record = record_path(path)
        if not self.run or not _is_of(record, self.run, self.epochs):
            return False
        with suppress(OSError):  # a file that cannot be read is none of this run
            return _read(record).get(DIGEST) == digest(path)
        return False


def _claim_log_dir(folder: Path, may_exist: bool) -> None:
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise UsageError(f"--log_dir {folder}: is a file, not a folder")
    for library in ("tensorflow", "tensorboard"):
        if importlib.util.find_spec(library) is None:
            raise UsageError(f"--log_dir {folder}: needs {library}, which is not installed")
    check_folder(f"--log_dir {folder}", folder if os.path.exists(folder) else folder.parent)
    hold("--log_dir", folder)
    remove_leftovers(folder_record(folder))
    if os.path.isdir(folder) and not may_exist and _entries(folder):
        raise UsageError(
            f"--log_dir {folder}: has files in it already; give --overwrite to add to them"
        )


def _entries(folder: Path) -> set[Path]:
    try:
        return {*folder.iterdir()}
    except OSError as error:
        raise UsageError(f"--log_dir {folder}: cannot be read: {error.strerror}") from error


def records_to_write(
    outputs: OutputOptions, record: Mapping[str, object], unchanged: Iterable[Path | None]
) -> list[Path]:
    """Return where the record of a run belongs: beside all outputs except results of other runs.

    Args:
        outputs: of the run.
        record: see ``training.saving.run_record``.
        unchanged: results that the run has not written, which may be of another run.
    """
    foreign = {
        record_path(path)
        for path in unchanged
        if path and os.path.exists(path) and not _is_record_of(record_path(path), record)
    }
    return [path for path in record_paths(outputs) if path not in foreign]


def begin_records(outputs: OutputOptions, record: Mapping[str, object]) -> None:
    """Write the record of a run that begins beside all that it is going to save.

    Args:
        outputs: of the run.
        record: see ``training.saving.run_record``.

    Raises:
        UserError: a file cannot be written.
    """
    for path in records_to_write(outputs, record, result_paths(outputs)):
        write_run_record(path, record)


class HistoryRecord(keras.callbacks.Callback):
    """Write the record beside the history once this run has replaced that of another one.

    Stands behind the reporter, which writes the history, in the list of callbacks.

    Args:
        reporter: of the run.
        record: see ``training.saving.run_record``.
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
            if not _is_record_of(path, self.record):
                write_run_record(path, self.record)
        except UserError as error:
            logger.error("%s; training goes on", error)  # it is tried again at the end


def result_paths(outputs: OutputOptions) -> list[Path]:
    """Return the paths of the wanted results: what ``--overwrite`` allows to replace."""
    return [path for name in _RESULTS if (path := getattr(outputs, name))]


def _is_record_of(path: Path, record: Mapping[str, object]) -> bool:
    """Whether the record in a file is of the same run, and of as many epochs, as another."""
    return _is_of(path, record["run"], record["options"].get("epochs"))


def _is_of(record: Path, run: str, epochs: int | None) -> bool:
    options = _read(record).get("options")
    return isinstance(options, dict) and options.get("epochs") == epochs and _run_of(record) == run


def _run_of(record: Path) -> str | None:
    """Run ID of a record; None if there is no record."""
    return _read(record).get("run")


def _read(record: Path) -> dict:
    try:
        content = json.loads(read_bytes(record, _LARGEST))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
