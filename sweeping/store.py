"""The folder of a sweep: one subfolder per trial, and the settings that all trials share."""

import csv
import json
import math
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from storage.files import replacing, write_errors
from storage.history import read_history
from storage.locks import locked
from storage.outputs import check_folder
from storage.records import read_record, record_path
from storage.temporary import remove_leftovers
from sweeping.grid import PROTOCOLS, Point, Trial
from utils import UsageError, UserError, list_folder, open_regular, read_text

FINISHED, DIVERGED, FAILED, UNFINISHED = "finished", "diverged", "failed", "unfinished"

MODEL = "model.keras"
"""Trained network in the folder of a trial, if it is kept."""

EVALUATION = "evaluation.csv"
"""Metrics from an evaluation after the training, in the folder of a trial."""

SETTINGS = "sweep.json"
"""File of the settings in the folder of a sweep."""

LOG = "log.txt"
"""Output of all attempts, in the folder of a trial."""

_TRIALS = "trials"
_FACTS, _ATTEMPTS = "trial.json", "attempts.csv"
_END = 2**16  # bytes at the end of a log to search for its last line


@dataclass(frozen=True)
class Result:
    """State and record of a trial.

    Attributes:
        status: ``FINISHED``, ``DIVERGED`` (finished without a result), ``FAILED`` or
            ``UNFINISHED``.
        seconds: running time of all attempts.
        options: options passed to the command.
        record: record of a completed run, see ``training.record.run_record``; otherwise empty.
        evaluation: metrics from an evaluation after the training, one row per score; may be empty.
    """

    status: str
    seconds: float = 0.0
    options: str = ""
    record: Mapping = field(default_factory=dict)
    evaluation: Sequence[Mapping] = ()

    @property
    def final(self) -> bool:
        """Whether another attempt would end the same way."""
        return self.status in (FINISHED, DIVERGED)


class Store:
    """Folder with the results of a sweep.

    Args:
        path: the folder.
    """

    def __init__(self, path: Path):
        self.path = Path(os.path.realpath(path))

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Create the folder, and lock it against other sweeps within the ``with`` block.

        Raises:
            UsageError: the folder cannot be written, is in use, or contains other files.
        """
        if not os.path.isdir(self.path):
            check_folder("--out", self.path.parent)
            if os.path.exists(self.path):
                raise UsageError(f"--out {self.path}: is a file, not a folder")
        try:
            self.path.mkdir(exist_ok=True)
            entries = {entry.name for entry in self.path.iterdir()}
        except OSError as error:
            raise UsageError(f"--out {self.path}: {error.strerror}") from error
        if SETTINGS not in entries and entries - {".lock"}:
            raise UsageError(f"--out {self.path}: contains files that do not belong to a sweep")
        check_folder("--out", self.path)

        def refuse() -> None:
            raise UsageError(f"--out {self.path}: another sweep is running there")

        with locked(self.path / ".lock", refuse):
            yield

    def agree(self, settings: Mapping[str, str]) -> None:
        """Check that trials in the folder have the same settings, and store new ones.

        Args:
            settings: values by the name of the option.

        Raises:
            UsageError: trials in the folder have different settings.
            UserError: the file cannot be read or written.
        """
        known = self.check(settings)
        with replacing(self.path / SETTINGS) as temporary:
            temporary.write_text(json.dumps(known | settings, indent=2) + "\n")

    def check(self, settings: Mapping[str, str]) -> dict[str, str]:
        """Return the settings of the trials in the folder, which must not contradict these.

        Args:
            settings: values by the name of the option.

        Raises:
            UsageError: trials in the folder have different settings.
            UserError: the file cannot be read.
        """
        file = self.path / SETTINGS
        known = read_settings(file) if os.path.exists(file) else {}
        different = [
            f"{name} {known[name]} instead of {value}"
            for name, value in settings.items()
            if known.get(name, value) != value
        ]
        if different:
            raise UsageError(
                f"--out {self.path}: its trials were run with {', '.join(different)}; "
                "give the same, or another folder"
            )
        return known

    def prepare(self, trial: Trial, command: Sequence[str], options: Sequence[str]) -> Path:
        """Create the folder of a trial.

        Args:
            trial: the trial to run.
            command: script and arguments.
            options: the arguments that are the same for all trials.

        Raises:
            UserError: it cannot be written.
        """
        folder = self.folder(trial)
        with write_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        facts = {**asdict(trial.point), "protocol": trial.protocol}
        facts |= {"options": shlex.join(options), "command": shlex.join(["python", *command])}
        with replacing(folder / _FACTS) as temporary:
            temporary.write_text(json.dumps(facts, indent=2) + "\n")
        return folder

    def folder(self, trial: Trial) -> Path:
        """Return the folder of a trial."""
        return self.path / _TRIALS / trial.name

    def trials(self) -> list[Trial]:
        """List all trials that have a folder, of this grid or an earlier one."""
        top = self.path / _TRIALS
        folders = list_folder(top) if os.path.isdir(top) else []
        found = {folder: _trial(read_record(folder / _FACTS)) for folder in folders}
        return [trial for folder, trial in found.items() if trial and trial.name == folder.name]

    def result(self, trial: Trial) -> Result:
        """Read the state of a trial."""
        folder = self.folder(trial)
        attempts = _read_attempts(folder / _ATTEMPTS)
        seconds = sum(attempt[0] for attempt in attempts)
        last = attempts[-1][1] if attempts else None
        options = str(self.facts(trial).get("options", ""))
        if last in (None, "stopped"):
            return Result(UNFINISHED, seconds, options)
        record = _finished_record(folder / "history.csv")
        if record and _diverged(record):
            return Result(DIVERGED, seconds, options, record)
        if record and last == "0":
            evaluation = _read_evaluation(folder / EVALUATION)
            return Result(FINISHED, seconds, options, record, evaluation)
        return Result(FAILED, seconds, options)

    def trained(self, trial: Trial) -> bool:
        """Return whether the training has a result, regardless of the evaluation."""
        record = _finished_record(self.folder(trial) / "history.csv")
        return bool(record) and not _diverged(record)

    def facts(self, trial: Trial) -> dict:
        """Return point, protocol, options and command of a trial; empty if it has no folder."""
        return read_record(self.folder(trial) / _FACTS)

    def tidy(self, trial: Trial) -> None:
        """Remove the snapshot, which only an unfinished trial needs."""
        snapshot = self.folder(trial) / "snapshot.h5"
        for path in (snapshot, record_path(snapshot)):
            path.unlink(missing_ok=True)
        remove_leftovers(snapshot)


def read_settings(file: Path) -> dict[str, str]:
    """Read the settings of a folder.

    Raises:
        UserError: the file is damaged.
    """
    settings = read_record(file)
    if not settings or not all(isinstance(value, str) for value in settings.values()):
        raise UserError(f"cannot read {file}: it is damaged; give another --out")
    return settings


def _trial(facts: Mapping) -> Trial | None:
    """Return the trial of the folder with these facts, unless they are damaged."""
    facts = {"subset_seed": 0, "split": "", **facts}
    values = [facts.get(field.name) for field in fields(Point)]
    kinds = [str, str, float, int, int, str]
    if [type(value) for value in values] != kinds or facts.get("protocol") not in PROTOCOLS:
        return None
    return Trial(Point(*values), facts["protocol"])


def _read_attempts(file: Path) -> list[tuple[float, str]]:
    """Read seconds and exit status of every attempt; leave out damaged lines."""
    attempts = []
    with suppress(UserError, csv.Error):
        for row in csv.DictReader(read_text(file).split("\n")):
            with suppress(KeyError, TypeError, ValueError):
                attempts.append((float(row["seconds"]), row["status"]))
    return attempts


def _finished_record(history: Path) -> dict:
    """Read the record beside a history; empty unless both are of all epochs."""
    record = read_record(record_path(history))
    with suppress(UserError, KeyError, TypeError):
        epochs = read_history(history)
        if "final" in record and epochs and epochs[-1]["epoch"] == record["last_epoch"]["epoch"]:
            return record
    return {}


def _diverged(record: Mapping) -> bool:
    """Return whether the network, or the last epoch, has no finite accuracy.

    Early stopping brings back finite weights of an earlier epoch.
    """
    last = record["last_epoch"].get(record.get("epochs_judged_by"), 0.0)
    return bool(record.get("diverged")) or not math.isfinite(last)


def _read_evaluation(file: Path) -> tuple[dict, ...]:
    """Read the results in the record beside a table of metrics; none if they are damaged."""
    rows = read_record(record_path(file)).get("results")
    if isinstance(rows, list) and all(isinstance(row, dict) for row in rows):
        return tuple(rows)
    return ()


def last_line(log: Path) -> str:
    """Return the last line of a log that is not empty; an empty string if there is none."""
    with suppress(OSError), open_regular(log) as file:
        file.seek(max(os.fstat(file.fileno()).st_size - _END, 0))
        lines = file.read(_END).decode(errors="replace").splitlines()
        return next((line for line in reversed(lines) if line.strip()), "")
    return ""
