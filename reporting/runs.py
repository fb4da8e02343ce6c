"""Finished runs of the training commands: their history and their record."""

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from storage.records import read_record, record_path
from utils import UserError, read_text

HISTORY = "history.csv"


@dataclass(frozen=True)
class Run:
    """A finished run."""

    name: str
    history: Path
    epochs: list[dict[str, float]]  # metrics of each epoch by name; NaN: not measured
    record: Mapping  # see ``training.record.run_record``

    @property
    def command(self) -> str:
        """The command line."""
        return str(self.record["options"].get("command_line", ""))

    @property
    def held_out(self) -> bool:
        """Whether the epochs were judged on images that are not those of the final test."""
        return self.record.get("epochs_judged_on") == "validation"


def read_run(path: Path) -> Run:
    """Read a run.

    Args:
        path: its history, as ``--history`` wrote it, or a folder with ``history.csv``.

    Raises:
        UserError: the history or its record is missing, damaged or not that of a whole run.
    """
    history = path / HISTORY if path.is_dir() else path
    record = read_record(record_path(history))
    if not isinstance(record.get("options"), dict) or not isinstance(record.get("dataset"), dict):
        raise UserError(
            f"{history} is not the history of a training: its record, {record_path(history).name}, "
            "is missing or damaged"
        )
    if not isinstance(record.get("final"), dict):
        raise UserError(f"{history} is of a run that has not come to its end")
    try:
        rows = list(csv.DictReader(read_text(history).rstrip("\n").split("\n")))
        epochs = [{name: float(value or math.nan) for name, value in row.items()} for row in rows]
    except (csv.Error, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{history} is damaged: it has cells that are no numbers") from error
    name = history.parent.name if history.name == HISTORY else history.stem
    return Run(name, history, epochs, record)
