"""The winner of a search, and the winners before it that have been tested on the same images."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from storage.records import record_path
from sweeping.search.trials import FAILED, FINISHED, Plan, Trial
from utils import UserError


def winner(trials: Sequence[Trial]) -> Trial:
    """Return the finished trial with the highest accuracy after its last epoch.

    Raises:
        UserError: none has finished.
    """
    finished = [trial for trial in trials if trial.status == FINISHED]
    if not finished:
        raise UserError(_nothing_found(trials))
    return max(finished, key=lambda trial: trial.accuracies[-1])


def _nothing_found(trials: Sequence[Trial]) -> str:
    failed = sum(trial.status == FAILED for trial in trials)
    most = max((len(trial.accuracies) for trial in trials), default=0)
    slow = "give more --minutes, fewer --epochs or smaller --sizes"
    return (
        f"the search ended without a finished trial: {len(trials)} begun, {failed} of them failed, "
        f"at most {most} epochs finished; {'see their logs' if failed == len(trials) > 0 else slow}"
    )


def minutes(plan: Plan, best: Trial) -> float:
    """Estimate how long a winner trains on all training images, from the time of its trial."""
    every, some = (
        sum(len(files) for _, _, files in os.walk(folder / "train"))
        for folder in (plan.all_images, plan.parts[0])
    )
    return best.seconds / 60 / len(plan.parts) * every / some


def earlier_record(plan: Plan, command_line: str) -> Path:
    """Return where the record of a winner is kept when another one replaces it.

    Args:
        plan: of the search.
        command_line: that trained it.
    """
    command = command_line.encode(errors="surrogateescape")
    return record_path(plan.out / f"earlier-{hashlib.sha256(command).hexdigest()[:12]}")


def used_before(plan: Plan, command_line: str) -> list[str]:
    """Return what the report says if winners besides that of a command line have been tested."""
    others = {*plan.out.glob("earlier-*")} - {earlier_record(plan, command_line)}
    told = (
        f"The test images were used before, for other winners of this search ({len(others)}): the "
        "accuracy on them may be optimistic."
    )
    return [told] if others else []
