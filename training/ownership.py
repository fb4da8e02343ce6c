"""Which files a run finds that it wrote itself before it was interrupted.

The record beside a file tells the run that it is of; the snapshot knows its run.
"""

import json
import os
from pathlib import Path

from files import leftovers
from provenance import record_path
from training.options import OutputOptions
from training.record import record_paths
from training.snapshots import read_state


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
        return bool(self.run) and _read(record).get("run") == self.run

    def wrote(self, path: Path) -> bool:
        """Whether a result, if it exists, is of this run and of as many epochs.

        One of fewer epochs is another result, which only ``--overwrite`` may replace.
        """
        record = _read(record_path(path))
        asked = record.get("options", {}).get("epochs", self.epochs)
        return self.began(record_path(path)) and asked == self.epochs


def _read(record: Path) -> dict:
    try:
        content = json.loads(record.read_text())
    except (OSError, ValueError):
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
    own = [path for path in results if path and _read(record_path(path)).get("run") == run]
    # A record that is not there was to be written first of all.
    own += [path for path in record_paths(outputs) if _read(path).get("run", run) == run]
    for path in filter(None, (outputs.snapshot, *own)):
        for temporary in leftovers(path):
            temporary.unlink(missing_ok=True)
