"""Run a study with the engine of the sweeps."""

import logging
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from itertools import pairwise
from pathlib import Path

from datasets.names import parse_name
from datasets.text.word_vectors import KUMO
from studies.choice import chosen_rate
from studies.results import PRECISION, STUDY, Run, Runs, check_study, run_of, runs_of
from studies.study import Part, Study, in_order
from sweeping.commands import Commands
from sweeping.engine import (
    Machines,
    check_data_root,
    check_evaluation,
    end,
    run_missing,
    shared_settings,
    show_missing,
)
from sweeping.grid import ANY_RATE, PAPER, PROTOCOLS, Trial
from sweeping.results.report import Report
from sweeping.stopping import StopRequest
from sweeping.store import Store
from utils import Interrupted, UsageError

logger = logging.getLogger(__name__)

_WITHOUT_FOLDER = ("Digits", "ORL")  # data sets that come with a package
_ANY_FOLDER = {"": "DSROOT", **dict.fromkeys(_WITHOUT_FOLDER, "")}


@dataclass(frozen=True)
class Request:
    """Parts of a study to run, and where.

    Attributes:
        out: folder of all results.
        machines: that run the trials.
        data_roots: folders by data set, see ``Commands``.
        weights: that fine-tuned networks start from; without it, these are left out.
        only: patterns of the names of trials, or of their folder and name, which may leave the
            search incomplete; none: all.
        precision: ``--mixed_precision`` of runs for which the study does not set it.
        stored: earlier results, which are not run again, and choose the rates along with the new.
    """

    out: Path
    machines: Machines = field(default_factory=Machines)
    data_roots: Mapping[str, str] = field(default_factory=dict)
    weights: Path | None = None
    only: tuple[str, ...] = ()
    precision: str | None = None
    stored: tuple[Run, ...] = ()

    def selected(self, part: Part, trials: Sequence[Trial]) -> list[Trial]:
        """Return those that the patterns ask for."""
        if not self.only:
            return list(trials)
        names = {trial: (trial.name, f"{part.folder}/{trial.name}") for trial in trials}
        return [t for t in trials if any(fnmatch(n, p) for n in names[t] for p in self.only)]

    def wanted(self, part: Part, trials: Sequence[Trial]) -> list[Trial]:
        """Return those of the selected ones that the earlier results lack."""
        stored = runs_of(self.stored, part)
        return [trial for trial in self.selected(part, trials) if trial.name not in stored]

    def folder(self, part: Part) -> Path:
        """Return the folder of a part."""
        return self.out / part.folder


def run(study: Study, scale: str, request: Request, finish: Callable[[], None]) -> None:
    """Run what is missing: the search for the best rates, then all seeds at these.

    Args:
        study: the study.
        scale: one of ``SCALES``.
        request: what of it, and where.
        finish: called when no more trials run, however that came about.

    Raises:
        UsageError: the folder has other results, or no trial could work.
        UserError: trials failed.
        Interrupted: a signal stopped it.
    """
    parts = _runnable(study, scale, request)
    check_study(study, request.out)
    settings = _agreed_settings(study, parts, request)
    try:
        request.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {request.out}: {error.strerror}") from error
    reports, stopping = [], StopRequest()
    try:
        for part in parts:
            if stopping.signal is None:
                stopping = _run_part(part, settings[part], request, reports)
    finally:
        finish()
    if not any(report.trials for report in reports):
        _end_without_trials(parts, request)
        return
    if stopping.signal is not None:  # there may be more to run than has been planned so far
        ended = sum(report.finished(trial) for report in reports for trial in report.trials)
        hint = f"{ended} trials are finished; repeat the command to resume"
        raise Interrupted(stopping.signal, hint)
    end(reports, stopping)


def show(study: Study, scale: str, request: Request) -> None:
    """Print the commands that are missing: of the search, at fixed rates, and at the chosen ones.

    Where the rate has not been chosen yet, the command has ``LR`` instead; ``DSROOT`` stands for
    folders of data sets that are not given.

    Raises:
        UsageError: the folder has other results, no trial has such a name, or the rate of those
            that have has not been chosen yet.
    """
    if "" not in request.data_roots:
        request = replace(request, data_roots={**_ANY_FOLDER, **request.data_roots})
    parts = _asked(study, scale, request)
    check_study(study, request.out)
    _agreed_settings(study, parts, request)
    shown: set[tuple[str, Trial]] = set()
    for part in parts:
        store, commands = Store(request.folder(part)), _commands(part, request)
        for trials in (part.first_trials(), _at_chosen_rates(part, store, request)):
            new = [t for t in request.wanted(part, trials) if (part.folder, t) not in shown]
            show_missing(Report(store, new, bool(part.evaluation)), commands)
            shown |= {(part.folder, trial) for trial in new}
    if not shown:
        _end_without_trials(parts, request)


def _end_without_trials(parts: Sequence[Part], request: Request) -> None:
    if request.stored:
        logger.info("The stored results have all of these trials")
        return
    raise UsageError(
        f"--only {' '.join(request.only)}: these trials have the learning rate that others "
        f"choose; run those first, such as {parts[0].first_trials()[0].name}"
    )


def _at_chosen_rates(part: Part, store: Store, request: Request) -> list[Trial]:
    """Return the trials with all seeds; without a rate where the search is not complete."""
    search = Report(store, part.first_trials(), bool(part.evaluation))
    runs = _ended(search, part, request)
    found = dict.fromkeys(repetitions(part, runs))
    for cell in part.cells():
        tried = {replace(t.point, learning_rate=ANY_RATE) for t in part.candidates(cell, PAPER)}
        candidates = [t for protocol in PROTOCOLS for t in part.candidates(cell, protocol)]
        if any(trial.name not in runs for trial in candidates):
            trials = part.repeated(cell, ANY_RATE)
            found |= dict.fromkeys(trial for trial in trials if trial.point not in tried)
    return sorted(found, key=in_order)


def _ended(report: Report, part: Part, request: Request) -> Runs:
    """Return the trials of a report that have ended, and the earlier results, by name."""
    ended = (trial for trial, result in report.results.items() if result.final)
    new = {trial.name: run_of(report.store, trial, part.folder) for trial in ended}
    return {**runs_of(request.stored, part), **new}


def _agreed_settings(
    study: Study, parts: Sequence[Part], request: Request
) -> dict[Part, dict[str, str]]:
    """Return the settings of the parts; refuse folders with other ones before anything is run."""
    settings = {part: _settings(study, part, request) for part in parts}
    if request.weights is None:  # nothing is trained from them, only shown
        for of_part in settings.values():
            of_part.pop("--finetune", None)
    for part, of_part in settings.items():
        Store(request.folder(part)).check(of_part)
    return settings


def _run_part(
    part: Part, settings: Mapping[str, str], request: Request, reports: list[Report]
) -> StopRequest:
    store, commands = Store(request.folder(part)), _commands(part, request)
    machines = request.machines
    if machines.gpus is None and part.gpus is not None:
        machines = replace(machines, gpus=part.gpus)
    with store.opened():
        store.agree(settings)
        evaluated = bool(part.evaluation)
        search = Report(store, request.wanted(part, part.first_trials()), evaluated)
        reports.append(search)
        stopping = run_missing(search, commands, machines)
        if stopping.signal is None:
            runs = _ended(search, part, request)
            further = request.wanted(part, repetitions(part, runs, partial=bool(request.only)))
            further = [t for t in further if t not in search.trials]
            reports.append(Report(store, further, evaluated))
            stopping = run_missing(reports[-1], commands, machines)
    return stopping


def repetitions(part: Part, runs: Runs, partial: bool = False) -> list[Trial]:
    """Return the trials with all seeds, one seed after the other, at the rates that were chosen.

    Args:
        part: part of a study.
        runs: its trials that have ended.
        partial: whether to choose among the rates that have been tried so far.
    """
    found: dict[Trial, None] = {}
    for cell in part.cells():
        for protocol in PROTOCOLS:
            deciding = part.candidates(cell, part.deciding(protocol))
            complete = all(trial.name in runs for trial in deciding)
            rate = chosen_rate(part, cell, protocol, runs) if complete or partial else None
            if rate is not None:
                found |= dict.fromkeys(part.repeated(cell, rate))
    return sorted(found, key=in_order)


def _asked(study: Study, scale: str, request: Request) -> list[Part]:
    """Return the parts that have trials that are wanted."""
    parts = study.parts(scale)
    asked = [part for part in parts if request.selected(part, part.trials())]
    if not asked:
        raise UsageError(
            f"--only {' '.join(request.only)}: {study.name} has no trial with such a name; the "
            f"first is {parts[0].trials()[0].name}"
        )
    if request.weights and not any(part.weights for part in asked):
        raise UsageError(f"--finetune {request.weights}: none of these trials starts from weights")
    return asked


def _runnable(study: Study, scale: str, request: Request) -> list[Part]:
    """Return the parts that can be run; say which are left out."""
    asked = _asked(study, scale, request)
    parts = [part for part in asked if request.weights or not part.weights]
    if not parts:
        raise UsageError("--finetune FILE: give the ILSVRC weights from which these trials start")
    for part in asked:
        if part not in parts:
            logger.warning("%s: left out without --finetune FILE", part.title)
    for part in parts:
        here = not request.machines.address
        for dataset in dict.fromkeys(t.point.dataset for t in request.wanted(part, part.trials())):
            root = _commands(part, request).data_root(dataset)
            base = parse_name(dataset).base
            if not root and base not in _WITHOUT_FOLDER:
                raise UsageError(f"--data_root {base}=DIR: give the folder of {base}")
            check_data_root(root, here)
            check_evaluation(_commands(part, request), dataset, part.splits, here)
        if here:
            _check_word_vectors(part)
            if part.weights and not request.weights.is_file():
                raise UsageError(f"--finetune {request.weights}: there is no such file")
    return parts


def _check_word_vectors(part: Part) -> None:
    for option, file in pairwise(shlex.split(part.options)):
        if option == "--word_vectors" and file != KUMO and not Path(file).is_file():
            raise UsageError(f"--word_vectors {file}: put this file into the current folder")


def _commands(part: Part, request: Request) -> Commands:
    options = part.options
    if part.weights:
        options += f" --finetune {shlex.quote(str(request.weights or 'WEIGHTS.h5'))}"
    if request.precision and PRECISION not in options:
        options += f" {PRECISION} {request.precision}"
    given = request.machines.gpus
    gpus = (part.gpus or 1) if given is None else given
    return Commands(
        tuple(shlex.split(options)),
        request.data_roots,
        part.embeddings,
        part.search.val_fraction,
        max(int(gpus), 1),
        evaluation=tuple(shlex.split(part.evaluation)),
        extra={key: tuple(shlex.split(more)) for key, more in part.extra.items()},
    )


def _settings(study: Study, part: Part, request: Request) -> dict[str, str]:
    # Trials that choose the rate have all options that the others have.
    common = shared_settings(part.first_trials(), _commands(part, request), "study.py")
    return {STUDY: study.name, **common}
