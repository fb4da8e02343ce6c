"""The output files of a run: which ones it may write, and the record that shows who owns them.

``FILE.run.json`` is written next to every output when training begins, and again at the end. Like
the snapshot, it contains the unique run ID, and the digest of the output once that exists. A
resumed run thereby recognizes its own files and may rewrite them. All other existing files require
``--overwrite`` and keep their records until they are replaced.
"""

import importlib.util
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import keras

from evaluation.feature_dumps import SUFFIXES
from models.files.saved import check_model_path, check_weights_path
from storage.outputs import check_distinct, check_folder, check_suffix, claim, hold
from storage.records import DIGEST, digest, read_record, record_path
from storage.temporary import remove_leftovers
from training.callbacks.epoch_log import EpochReporter
from training.callbacks.failures import survived
from training.options import OutputOptions
from training.record import folder_record, record_paths, write_run_record
from training.snapshots.file import read_state
from utils import UsageError, UserError, list_folder

_FORMATS = {
    "model_dump": check_model_path,
    "weight_dump": check_weights_path,
    "feature_dump": lambda path: check_suffix("--feature_dump", path, SUFFIXES),
}
_RESULTS = (*_FORMATS, "history")
"""Outputs that replace results of other runs if ``--overwrite`` is given."""


def claim_outputs(outputs: OutputOptions, epochs: int | None = None) -> None:
    """Claim all outputs, and refuse those that could not be written at the end of the training.

    ``epochs`` is the number of epochs that the command asks for.

    Raises:
        UsageError: a path is neither free nor a file that the run may replace.
        UserError: the snapshot is damaged, or another run is writing an output.
    """
    files = {name: path for name in (*_RESULTS, "snapshot") if (path := getattr(outputs, name))}
    for name, check in _FORMATS.items():
        if name in files:
            check(files[name])
    records = [(f"the record of --{name}", record_path(path)) for name, path in files.items()]
    check_distinct([*((f"--{name}", path) for name, path in files.items()), *records])
    run = None  # before there is a snapshot, no file is this run's own
    if snapshot := files.pop("snapshot", None):
        claim("--snapshot", snapshot, True)
        run = read_state(snapshot).run if os.path.exists(snapshot) else None
    for name, path in files.items():
        # A resumed run extends its history, whatever its number of epochs.
        own = _run_of(record_path(path)) == run if name == "history" else _wrote(run, epochs, path)
        claim(f"--{name}", path, outputs.overwrite or bool(run and own))
    if not outputs.overwrite:
        _check_records({**files, "snapshot": snapshot} if snapshot else files)
    folders = {"--log_dir": outputs.log_dir, "--plot_features": outputs.plot_features}
    wanted = {option: folder for option, folder in folders.items() if folder}
    check_distinct(wanted.items())
    for option, folder in wanted.items():
        own = run and _run_of(folder_record(folder)) == run
        _claim_folder(option, folder, outputs.overwrite or bool(own))


def _check_records(files: Mapping[str, Path]) -> None:
    """Refuse outputs whose record would replace a file that is not a record."""
    for name, path in files.items():
        record = record_path(path)
        if os.path.lexists(record) and not read_record(record).keys() >= {"options", "versions"}:
            raise UsageError(
                f"--{name} {path}: {record} exists and is not the record of a run; give "
                "--overwrite to replace it"
            )


def _wrote(run: str | None, epochs: int | None, path: Path) -> bool:
    """Return whether this run, with this number of epochs, wrote a file as it is now."""
    record = record_path(path)
    if not _is_of(record, run, epochs):
        return False
    with suppress(OSError):  # a file that cannot be read is none of this run
        return read_record(record).get(DIGEST) == digest(path)
    return False


def _claim_folder(option: str, folder: Path, may_exist: bool) -> None:
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise UsageError(f"{option} {folder}: is a file, not a folder")
    if option == "--log_dir" and importlib.util.find_spec("tensorboard") is None:
        raise UsageError(f"{option} {folder}: needs tensorboard, which is not installed")
    check_folder(f"{option} {folder}", folder if os.path.exists(folder) else folder.parent)
    hold(option, folder)
    remove_leftovers(folder_record(folder))
    try:
        used = os.path.isdir(folder) and bool(list_folder(folder))
    except UserError as error:
        raise UsageError(f"{option} {folder}: {error}") from error
    if used and not may_exist:
        raise UsageError(
            f"{option} {folder}: already contains files; give --overwrite to add to them"
        )


def records_to_write(
    outputs: OutputOptions, record: Mapping[str, object], unchanged: Iterable[Path]
) -> list[Path]:
    """Return the paths for the record of a run: next to all outputs but results of other runs.

    Only results that this run has left ``unchanged`` can belong to another run.
    """
    foreign = {
        record_path(path)
        for path in unchanged
        if os.path.exists(path) and not _is_record_of(record_path(path), record)
    }
    return [path for path in record_paths(outputs) if path not in foreign]


def begin_records(outputs: OutputOptions, record: Mapping[str, object]) -> None:
    """Write the record of a run that begins next to each of its future outputs."""
    for path in records_to_write(outputs, record, result_paths(outputs)):
        write_run_record(path, record)


class HistoryRecord(keras.callbacks.Callback):
    """Write the record next to the history once this run has replaced another run's history.

    Must follow the reporter, which writes the history, in the list of callbacks.
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
        with survived(self):  # retried at the end
            if not _is_record_of(path, self.record):
                write_run_record(path, self.record)


def result_paths(outputs: OutputOptions) -> list[Path]:
    """Return the paths of the results to write, which ``--overwrite`` allows to replace."""
    return [path for name in _RESULTS if (path := getattr(outputs, name))]


def _is_record_of(path: Path, record: Mapping[str, object]) -> bool:
    """Return whether the record in a file has the run ID and number of epochs of ``record``."""
    return _is_of(path, record["run"], record["options"].get("epochs"))


def _is_of(record: Path, run: str, epochs: int | None) -> bool:
    options = read_record(record).get("options")
    return isinstance(options, dict) and options.get("epochs") == epochs and _run_of(record) == run


def _run_of(record: Path) -> str | None:
    return read_record(record).get("run")
