"""Finished runs of the training commands: their history and their record."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from storage.history import accuracy_name, read_history
from storage.records import read_record, record_path
from utils import UserError

HISTORY = "history.csv"

_DAMAGE = (ArithmeticError, AttributeError, KeyError, TypeError, ValueError)


@dataclass(frozen=True)
class Run:
    """A finished run."""

    name: str
    history: Path
    epochs: list[dict[str, float]]  # metrics of each epoch by name; NaN: not measured
    command: str  # command line
    held_out: bool  # whether epochs were evaluated on other images than the test images
    tested: int  # number of test images
    metric: str  # name of the accuracy
    accuracy: float  # of the final network on the test images, in [0, 1]; NaN: it diverged
    average: float  # class-averaged accuracy, likewise
    versions: dict[str, str]  # of the libraries
    commit: str  # of the code; "" if unknown
    identity: str  # run ID that its files share; "" if unknown


def read_run(path: Path) -> Run:
    """Read a run.

    Args:
        path: a file written by ``--history``, or a folder with ``history.csv``.

    Raises:
        UserError: the history or its record is missing or damaged, or the run is not finished.
    """
    history = path / HISTORY if path.is_dir() else path
    if not history.exists():
        raise UserError(f"{history} does not exist")
    record = read_record(record_path(history))
    if not record:
        raise UserError(
            f"{history} is not the history of a training: its record, {record_path(history).name}, "
            "is missing or damaged"
        )
    if "final" not in record:
        raise UserError(f"{history} belongs to a run that is not finished")
    name = history.parent.name if history.name == HISTORY else history.stem
    try:
        return Run(name, history, read_history(history), **_facts(record))
    except _DAMAGE as error:
        raise UserError(f"{history}: the history or its record is damaged") from error


def _facts(record: Mapping) -> dict[str, object]:
    final = record["final"]
    metric = accuracy_name(final) or "acc"
    tested = record["dataset"]["test_samples"]
    if not (isinstance(tested, int) and 0 <= tested < 2**63):
        raise ValueError
    return {
        "command": str(record["options"]["command_line"]),
        "held_out": record.get("epochs_judged_on") == "validation",
        "tested": tested,
        "metric": metric,
        "accuracy": _share(final.get(metric)),
        "average": _share(final.get("average_accuracy")),
        "versions": {str(k): str(v) for k, v in dict(record.get("versions") or {}).items()},
        "commit": str(record.get("commit") or ""),
        "identity": str(record.get("run") or ""),
    }


def _share(value: object) -> float:
    """Convert a value to a number in [0, 1], or NaN if it is missing."""
    number = float(math.nan if value is None else value)
    if not (math.isnan(number) or 0 <= number <= 1):
        raise ValueError
    return number
