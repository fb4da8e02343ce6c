"""Which files a run finds that it wrote itself before it was interrupted.

The record beside a file tells the run that it is of; the snapshot knows its run.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from files import leftovers
from provenance import record_path
from training.options import OutputOptions
from training.record import record_paths, write_run_record
from training.snapshots import read_state
from utils import read_bytes

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
        if not self.began(record_path(path)):
            return False
        options = _read(record_path(path)).get("options")
        return isinstance(options, dict) and options.get("epochs", self.epochs) == self.epochs


def begin_records(outputs: OutputOptions, record: Mapping[str, object]) -> None:
    """Writes the record of a run that begins beside all that it is going to save.

    A result of another run, which is going to be replaced, keeps its own until then.

    Args:
        outputs: of the run.
        record: has the ``run`` among its entries.

    Raises:
        UserError: a file cannot be written.
    """
    dumps = (outputs.model_dump, outputs.weight_dump, outputs.feature_dump)
    others = {
        record_path(path)
        for path in dumps
        if path and os.path.exists(path) and run_of(record_path(path)) != record["run"]
    }
    for path in record_paths(outputs):
        if path not in others:
            write_run_record(path, record)


def run_of(record: Path) -> str | None:
    """The run that a record is of; None if there is no record."""
    return _read(record).get("run")


def _read(record: Path) -> dict:
    try:
        content = json.loads(read_bytes(record, _LARGEST))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def remove_leftovers(outputs: OutputOptions, run: str) -> None:
    """Removes half-written files that this run left when it was killed.

    Call it only while no other run uses the snapshot.

    Args:
        outputs: of the run.
        run: see ``RunState``.
    """
    results = (outputs.model_dump, outputs.weight_dump, outputs.feature_dump, outputs.history)
    own = [path for path in results if path and run_of(record_path(path)) == run]
    # A record that is not there was to be written first of all.
    own += [path for path in record_paths(outputs) if _read(path).get("run", run) == run]
    for path in filter(None, (outputs.snapshot, *own)):
        for temporary in leftovers(path):
            temporary.unlink(missing_ok=True)
