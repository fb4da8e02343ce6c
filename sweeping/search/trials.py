"""The files of a search: one folder per candidate, with its state."""

import json
import os
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from evaluation.tables import write_csv
from storage.files import replacing
from storage.records import read_record
from sweeping.commands import ROOT
from sweeping.search.space import Candidate
from sweeping.search.training_process import read_accuracies
from utils import list_folder

FINISHED, STOPPED, FAILED, UNFINISHED = "finished", "stopped early", "failed", "unfinished"

HEADER = (*Candidate.__dataclass_fields__, "status", "epochs", "accuracy", "seconds")
"""Columns of the table of trials; accuracy is on held-out images, after the last epoch."""


@dataclass(frozen=True)
class Plan:
    """What all runs of a search share."""

    out: Path  # folder of the search
    parts: tuple[Path, ...]  # data of each fold
    options: tuple[str, ...]  # of the training command
    epochs: int  # of a whole training
    steps: int  # per epoch, at least
    sizes: tuple[int, ...]  # of the images, to choose from
    seed: int  # of the sampler
    commands: Path = ROOT  # folder of the training commands

    @property
    def all_images(self) -> Path:
        """Data of the winner: all training images and the test images."""
        return self.out / "data" / "all"

    def folder(self, candidate: Candidate) -> Path:
        """Return the folder of a candidate."""
        return self.out / "trials" / candidate.name

    def runs(self, candidate: Candidate) -> list[Path]:
        """Return the folders of its runs, one for each fold."""
        return [self.folder(candidate) / part.name for part in self.parts]

    def command_lines(self, candidate: Candidate) -> list[list[str]]:
        """Return script and arguments of its runs, one for each fold."""
        found = []
        for part, run in zip(self.parts, self.runs(candidate), strict=True):
            script, *argv = candidate.command(part, self.options, run)
            found.append([str(self.commands / script), *argv])
        return found


@dataclass(frozen=True)
class SearchTrial:
    """A candidate and its state."""

    candidate: Candidate
    status: str
    started: float  # seconds since the epoch
    seconds: float  # of its runs
    accuracies: tuple[float, ...]  # after each epoch, mean over the folds

    @property
    def row(self) -> dict[str, object]:
        """The row of the table of trials, by column."""
        accuracy = self.accuracies[-1] if self.accuracies else None
        found = self.status, len(self.accuracies), accuracy, round(self.seconds, 1)
        return self.candidate.config | dict(zip(HEADER[-len(found) :], found, strict=True))


def read_trials(plan: Plan) -> list[SearchTrial]:
    """Return the trials of a search in order of their start."""
    top = plan.out / "trials"
    folders = list_folder(top) if os.path.isdir(top) else []
    trials = [trial for folder in folders if (trial := read_trial(plan, folder))]
    return sorted(trials, key=lambda trial: trial.started)


def read_trial(plan: Plan, folder: Path) -> SearchTrial | None:
    """Return the trial of a folder; None if it has none, or a damaged one."""
    facts = read_record(folder / "trial.json")
    try:
        candidate = Candidate.of(facts["candidate"])
        known = float(facts["started"]), float(facts["seconds"])
        status = str(facts["status"])
        # A training that was stopped early may have finished another epoch meanwhile.
        last = int(facts["epochs"]) if status == STOPPED else None
    except (ValueError, TypeError, KeyError):
        return None
    histories = [read_accuracies(run / "history.csv") for run in plan.runs(candidate)]
    accuracies = tuple(statistics.fmean(each) for each in zip(*histories, strict=False))
    return SearchTrial(candidate, status, *known, accuracies[:last])


def write_trial(plan: Plan, trial: SearchTrial) -> None:
    """Write the state of a trial, except for its accuracies, which are in the histories."""
    facts = asdict(trial)
    facts["epochs"] = len(facts.pop("accuracies"))
    with replacing(plan.folder(trial.candidate) / "trial.json") as temporary:
        temporary.write_text(json.dumps(facts, indent=2) + "\n")


def ended(trials: Sequence[SearchTrial]) -> int:
    """Return how many trials have ended."""
    return sum(trial.status != UNFINISHED for trial in trials)


def remove_snapshots(plan: Plan) -> None:
    """Remove snapshots, which only unfinished trials need."""
    done = [trial for trial in read_trials(plan) if trial.status != UNFINISHED]
    for run in (run for trial in done for run in plan.runs(trial.candidate)):
        for path in run.glob("snapshot.h5*"):
            path.unlink(missing_ok=True)


def write_table(path: Path, trials: Sequence[SearchTrial]) -> None:
    """Write the table of trials as CSV.

    Raises:
        UserError: the file cannot be written.
    """
    write_csv(path, HEADER, [[trial.row[name] for name in HEADER] for trial in trials])
