"""Folder of a sweep: one folder per trial, and the settings that all trials share."""

import csv
import json
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from storage.files import replacing, write_errors
from storage.locks import locked
from storage.outputs import check_folder
from storage.records import record_path
from storage.temporary import remove_leftovers
from sweeping.grid import Point, Trial
from utils import UsageError, UserError

FINISHED, FAILED, UNFINISHED = "finished", "failed", "unfinished"

MODEL = "model.keras"
"""Trained network in the folder of a trial, if it is kept."""

_SETTINGS = "sweep.json"
_TRIALS = "trials"


@dataclass(frozen=True)
class Result:
    """State and record of a trial.

    Attributes:
        status: ``FINISHED``, ``FAILED`` or ``UNFINISHED``.
        seconds: running time of all attempts.
        options: passed on to the command.
        record: of a finished run, see ``training.saving.run_record``; else empty.
    """

    status: str
    seconds: float = 0.0
    options: str = ""
    record: Mapping = field(default_factory=dict)


class Store:
    """Folder with the results of a sweep.

    Args:
        path: the folder.
    """

    def __init__(self, path: Path):
        self.path = Path(os.path.realpath(path))

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Create the folder, and keep other sweeps out within the ``with`` block.

        Raises:
            UsageError: it cannot be written, is in use, or has other things in it.
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
        if _SETTINGS not in entries and entries - {".lock"}:
            raise UsageError(f"--out {self.path}: has files in it that are not of a sweep")
        check_folder("--out", self.path)

        def refuse() -> None:
            raise UsageError(f"--out {self.path}: another sweep is running there")

        with locked(self.path / ".lock", refuse):
            yield

    def agree(self, settings: Mapping[str, str]) -> None:
        """Check that all trials have the same settings, and store new ones.

        Args:
            settings: by name, as a user knows them.

        Raises:
            UsageError: trials in the folder have others.
            UserError: the file cannot be read or written.
        """
        file = self.path / _SETTINGS
        known = _read_settings(file) if file.exists() else {}
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
        with replacing(file) as temporary:
            temporary.write_text(json.dumps(known | settings, indent=2) + "\n")

    def prepare(self, trial: Trial, command: Sequence[str], options: Sequence[str]) -> Path:
        """Create the folder of a trial.

        Args:
            trial: to be run.
            command: script and arguments.
            options: those of them that were passed on.

        Raises:
            UserError: it cannot be written.
        """
        folder = self.folder(trial)
        with write_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        facts = {**asdict(trial.point), "protocol": trial.protocol}
        facts |= {"options": shlex.join(options), "command": shlex.join(["python", *command])}
        with replacing(folder / "trial.json") as temporary:
            temporary.write_text(json.dumps(facts, indent=2) + "\n")
        return folder

    def folder(self, trial: Trial) -> Path:
        """Folder of a trial."""
        return self.path / _TRIALS / trial.name

    def trials(self) -> list[Trial]:
        """List all trials that have a folder, of this grid or an earlier one."""
        found = []
        top = self.path / _TRIALS
        for folder in sorted(top.iterdir()) if os.path.isdir(top) else ():
            facts = _read_facts(folder)
            with suppress(KeyError):
                point = Point(*(facts[field.name] for field in fields(Point)))
                found.append(Trial(point, facts["protocol"]))
        return found

    def result(self, trial: Trial) -> Result:
        """Read the state of a trial."""
        folder = self.folder(trial)
        attempts = _read_attempts(folder / "attempts.csv")
        seconds = sum(attempt[0] for attempt in attempts)
        last = attempts[-1][1] if attempts else None
        options = _read_facts(folder).get("options", "")
        record = _read_record(folder / "history.csv") if last == "0" else None
        if record:
            return Result(FINISHED, seconds, options, record)
        return Result(UNFINISHED if last in (None, "stopped") else FAILED, seconds, options)

    def has_model(self, trial: Trial) -> bool:
        """Return whether the trained network was kept."""
        return (self.folder(trial) / MODEL).exists()

    def tidy(self, trial: Trial) -> None:
        """Remove the snapshot, which only an unfinished trial needs."""
        snapshot = self.folder(trial) / "snapshot.h5"
        for path in (snapshot, record_path(snapshot)):
            path.unlink(missing_ok=True)
        remove_leftovers(snapshot)

    def last_line(self, trial: Trial) -> str:
        """Return the last line of the log."""
        with suppress(OSError):
            text = (self.folder(trial) / "log.txt").read_text(errors="replace")
            return next((line for line in reversed(text.splitlines()) if line.strip()), "")
        return ""


def _read_settings(file: Path) -> dict[str, str]:
    try:
        return dict(json.loads(file.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"cannot read {file}: it is damaged; give another --out") from error


def _read_facts(folder: Path) -> dict:
    """Read ``trial.json``; empty if there is none."""
    try:
        return dict(json.loads((folder / "trial.json").read_text()))
    except (OSError, ValueError, TypeError):
        return {}


def _read_attempts(file: Path) -> list[tuple[float, str]]:
    """Read seconds and exit status of every attempt."""
    try:
        with open(file, newline="") as lines:
            return [(float(row["seconds"]), row["status"]) for row in csv.DictReader(lines)]
    except (OSError, KeyError, TypeError, ValueError):
        return []


def _read_record(history: Path) -> dict | None:
    """Read the record beside a history, if both are complete."""
    try:
        record = json.loads(record_path(history).read_text())
        with open(history, newline="") as file:
            *_, last = csv.DictReader(file)
        complete = int(last["epoch"]) == record["last_epoch"]["epoch"]
        return record if complete and "final" in record else None
    except (OSError, KeyError, TypeError, ValueError):
        return None
