"""The winner of a search, and the winners before it that have been tested on the same images."""

import hashlib
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from storage.records import read_record, record_path, write_record
from sweeping.search.trials import FAILED, FINISHED, Plan, SearchTrial
from sweeping.store import MODEL
from utils import UserError

logger = logging.getLogger(__name__)


def winner(trials: Sequence[SearchTrial]) -> SearchTrial:
    """Return the finished trial with the highest accuracy after its last epoch.

    Raises:
        UserError: none has finished.
    """
    finished = [trial for trial in trials if trial.status == FINISHED]
    if not finished:
        raise UserError(_nothing_found(trials))
    return max(finished, key=lambda trial: trial.accuracies[-1])


def _nothing_found(trials: Sequence[SearchTrial]) -> str:
    failed = sum(trial.status == FAILED for trial in trials)
    most = max((len(trial.accuracies) for trial in trials), default=0)
    slow = "give more --minutes, fewer --epochs or smaller --sizes"
    return (
        f"the search ended without a finished trial: {len(trials)} begun, {failed} of them failed, "
        f"at most {most} epochs finished; {'see their logs' if failed == len(trials) > 0 else slow}"
    )


def minutes(plan: Plan, best: SearchTrial) -> float:
    """Estimate how long a winner trains on all training images, from the time of its trial."""
    every, some = (
        sum(len(files) for _, _, files in os.walk(folder / "train"))
        for folder in (plan.all_images, plan.parts[0])
    )
    return best.seconds / 60 / len(plan.parts) * every / some


def is_trained(plan: Plan, command_line: str) -> bool:
    """Return whether the winner has been trained; put aside the record of another winner.

    Args:
        plan: plan of the search.
        command_line: command that trains the winner.
    """
    record = read_record(record_path(plan.out / MODEL))
    before = (record.get("options") or {}).get("command_line")
    if before == command_line:
        return "final" in record and (plan.out / MODEL).exists()
    if "final" in record:
        logger.warning("The test images have been used before, for another winner")
        write_record(earlier_record(plan, str(before)), record)
    if record:
        for path in plan.out.glob("snapshot.h5*"):
            path.unlink()
    return False


def earlier_record(plan: Plan, command_line: str) -> Path:
    """Return where the record of a winner is kept when another one replaces it.

    Args:
        plan: plan of the search.
        command_line: that trained it.
    """
    command = command_line.encode(errors="surrogateescape")
    return record_path(plan.out / f"earlier-{hashlib.sha256(command).hexdigest()[:12]}")


def used_before(plan: Plan, command_line: str) -> list[str]:
    """Return what the report says if winners besides that of a command line have been tested."""
    others = {*plan.out.glob("earlier-*")} - {earlier_record(plan, command_line)}
    message = (
        f"The test images were used before, for other winners of this search ({len(others)}): the "
        "accuracy on them may be optimistic."
    )
    return [message] if others else []
