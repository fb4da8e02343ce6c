"""The engine of sweeps and studies: run the missing trials of a grid and report their results."""

import importlib
import logging
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from datasets.names import parse_name
from datasets.open_sets import OTHER
from sweeping.cluster import Job, Resources, connected
from sweeping.commands import OPEN_SET, RATES, VERIFICATION, Commands
from sweeping.grid import LOSSES, VALIDATION, Trial, number
from sweeping.results.report import Report, describe
from sweeping.stopping import StopRequest, stop_requests
from sweeping.store import LOG, MODEL, Store, last_line
from training.parallel.startup import backend_name
from training.snapshots.identity import determining
from utils import Interrupted, UsageError, UserError

logger = logging.getLogger(__name__)
results = logging.getLogger("results")

# Options that vary between trials or are set by the sweep; all trials share the others.
_BY_TRIAL = (
    *"dataset embedding loss cls_weight label_smoothing seed val_fraction".split(),
    *(option.removeprefix("--") for option in RATES.values()),
)
# Options that all trials share besides those that determine the weights of a single one.
_ALSO_SHARED = (
    *"epochs val_every class_list finetune word_vectors max_words".split(),
    *"embedding_dim embedding_scale known class_weights background".split(),
)


@dataclass(frozen=True)
class Machines:
    """The machines for trials, and the resources of each trial.

    Attributes:
        address: head of a Ray cluster; None: this machine.
        cpus: CPU cores per trial.
        gpus: GPUs per trial; None: one if there are any.
        max_parallel: maximum number of concurrent trials; None: as many as fit.
    """

    address: str | None = None
    cpus: int = 1
    gpus: float | None = None
    max_parallel: int | None = None


def shared_settings(trials: Sequence[Trial], commands: Commands, program: str) -> dict[str, str]:
    """Return the settings that all trials of a folder share.

    Args:
        trials: the trials in the folder.
        commands: builder of their command lines.
        program: name of the command for messages.

    Raises:
        UsageError: sweeps do not support an option for the runs.
        SystemExit: the training commands do not accept an option.
    """
    settings = {"KERAS_BACKEND": backend_name()}
    if commands.evaluation:
        settings["--evaluate"] = shlex.join(commands.evaluation)
    for key, options in commands.extra.items():
        settings[f"further options: {key}"] = shlex.join(options)
    commands = replace(commands, extra={})
    for trial in {(t.point.loss, t.point.dataset, t.protocol): t for t in trials}.values():
        # Subset and split do not change the settings.
        trial = replace(trial, point=replace(trial.point, subset_seed=0, split=""))
        settings |= _settings_of(trial, commands, program)
    return settings


def _settings_of(trial: Trial, commands: Commands, program: str) -> dict[str, str]:
    loss, dataset = LOSSES[trial.point.loss], trial.point.dataset
    parser = importlib.import_module(Path(loss.command).stem).build_parser()
    parser.prog = f"{program}: {loss.command}"
    parsed = vars(parser.parse_args(commands.of(trial, Path())[1:]))
    settings = {}
    for name in (*determining(parsed), *_ALSO_SHARED):
        if name in parsed and name not in _BY_TRIAL:
            differs = name == "finetune_init"  # by default
            settings[f"{loss.command} --{name}" if differs else f"--{name}"] = str(parsed[name])
    if trial.protocol == VALIDATION and commands.val_fraction is not None:
        settings["--val_fraction"] = number(commands.val_fraction)
    if parse_name(dataset).base == "Folder":  # any other is known by its name
        if parsed["data_root"] is None:
            raise UsageError(f"--data_root: give the folder of {dataset}")
        settings[f"--data_root {dataset}"] = os.path.realpath(parsed["data_root"])
    if loss.semantic:
        settings[f"--embeddings {dataset}"] = parsed["embedding"]
    return settings


def show_missing(report: Report, commands: Commands) -> None:
    """Print the commands of all missing trials."""
    for trial in report.trials:
        if not report.finished(trial):
            for command in _missing_commands(trial, commands, report.store):
                results.info("python %s", shlex.join(command))


def run_missing(report: Report, commands: Commands, machines: Machines) -> StopRequest:
    """Run the missing trials of a report, and log the result of each.

    Returns:
        The request to stop, if there was one.

    Raises:
        UserError: Ray is not installed or does not start, or results cannot be written.
    """
    missing = {trial.name: trial for trial in report.trials if not report.finished(trial)}
    total, done = len(report.trials), len(report.trials) - len(missing)
    logger.info("%d trials, %d of them finished before", total, done)
    if not missing:
        return StopRequest()
    resources = Resources(machines.cpus, machines.gpus)
    with connected(machines.address, resources) as ray, stop_requests() as stopping:
        limit = min(machines.max_parallel or len(missing), len(missing))
        logger.info("Running %d trials, %d at once", len(missing), min(limit, ray.at_once))
        for job, outcome in ray.run(_jobs(missing, commands, report), limit, stopping):
            done += 1
            _log_result(report, missing[job.name], outcome, f"[{done}/{total}]")
    return stopping


def _jobs(trials: Mapping[str, Trial], commands: Commands, report: Report) -> list[Job]:
    jobs = []
    for name, trial in trials.items():
        missing = tuple(map(tuple, _missing_commands(trial, commands, report.store)))
        command = commands.of(trial, report.store.folder(trial))
        folder = report.store.prepare(trial, command, commands.options)
        jobs.append(Job(name, missing, folder))
    return jobs


def _missing_commands(trial: Trial, commands: Commands, store: Store) -> list[list[str]]:
    """Return the commands for training and evaluation, or only the latter after a training."""
    folder = store.folder(trial)
    evaluation = commands.evaluation_of(trial, folder)
    trained = store.trained(trial) and (folder / MODEL).exists()
    training = [] if evaluation and trained else commands.of(trial, folder)
    return list(filter(None, (training, evaluation)))


def check_data_root(root: str | None, here: bool) -> None:
    """Refuse a folder that does not exist if the trials run on this machine.

    Raises:
        UsageError: the folder does not exist.
    """
    if root and here and not os.path.isdir(root):
        raise UsageError(f"--data_root {root}: there is no such folder")


def check_evaluation(commands: Commands, dataset: str, splits: Sequence[str], here: bool) -> None:
    """Refuse settings with which no evaluation could run.

    Args:
        commands: builder of the command lines.
        dataset: data set of the trials.
        splits: open-set splits of the trials.
        here: whether trials run on this machine.

    Raises:
        UsageError: there are no unknown classes, or a folder or file is missing.
    """
    kind, root = next(iter(commands.evaluation), None), commands.data_root(dataset)
    pairs = root and os.path.join(root, "pairs.txt")
    if kind == VERIFICATION and (not pairs or (here and not os.path.isfile(pairs))):
        raise UsageError(f"--data_root {root or dataset}: has no pairs.txt, for verification")
    if kind == OPEN_SET:
        if not any(splits) and "--known" not in commands.options:
            raise UsageError("--evaluate open-set: give --splits, which define unknown classes")
        if any(split.startswith("arpl+") for split in splits) and not commands.data_root(OTHER):
            raise UsageError(f"--data_root {OTHER}=DIR: give the folder of the unknown classes")


def _log_result(report: Report, trial: Trial, outcome: int | str, count: str) -> None:
    result = report.update(trial)
    if report.finished(trial):
        report.store.tidy(trial)
        results.info("%s %s", count, describe(trial, result))
        return
    reason = outcome if isinstance(outcome, str) else f"exit status {outcome}"
    last = last_line(report.store.folder(trial) / LOG)
    results.info("%s %s: failed, %s: %s", count, trial.title, reason, last)


def end(reports: Sequence[Report], stopping: StopRequest) -> None:
    """End the command with an error unless all trials are finished.

    Raises:
        Interrupted: a signal stopped the command.
        UserError: trials failed.
    """
    total = sum(len(report.trials) for report in reports)
    missing = [(r, trial) for r in reports for trial in r.trials if not r.finished(trial)]
    if missing and stopping.signal is not None:
        raise Interrupted(
            stopping.signal,
            f"{total - len(missing)} of {total} trials are finished; repeat the command to resume",
        )
    if missing:
        logs = ", ".join(f"{trial.name} ({r.store.folder(trial) / LOG})" for r, trial in missing)
        raise UserError(
            f"{len(missing)} of {total} trials failed: {logs}; repeat the command to retry"
        )
