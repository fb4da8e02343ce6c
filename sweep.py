"""Run a grid of trainings on Ray: learning rates x losses x data sets x seeds; tabulate the best.

Everything after -- is passed on to the learn command of every trial, like
-- --architecture resnet-50 --batch_size 96.
"""

import argparse
import importlib
import logging
import os
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from cli import arguments, console
from cli.arguments import fraction, known, non_negative_float, positive, seed, user_path
from datasets.names import parse_name
from storage.records import commit, record_path, versions, write_record
from sweeping.cluster import Job, Resources, connected
from sweeping.commands import DATASET, EMBEDDINGS, Commands, check_options
from sweeping.grid import (
    LEARNING_RATES,
    LOSSES,
    PAPER,
    PROTOCOLS,
    VALIDATION,
    Trial,
    dataset_key,
    grid,
    number,
)
from sweeping.report import Report, describe
from sweeping.stopping import StopRequest, stop_requests
from sweeping.store import Store
from training.parallel.startup import backend_name
from training.snapshots.identity import IDENTITY
from utils import Interrupted, UsageError, UserError

logger = logging.getLogger(__name__)
results = logging.getLogger("results")

# Options that vary with the trial or are set by the sweep; the others are shared by all trials.
_BY_TRIAL = (
    *("dataset", "embedding", "loss", "cls_weight", "label_smoothing"),
    *("sgdr_max_lr", "seed", "val_fraction"),
)
_SHARED = (
    *(name for name in IDENTITY if name not in (*_BY_TRIAL, "finetune_init")),
    *("epochs", "class_list", "finetune", "finetune_init"),
)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = arguments.build_parser(__doc__)
    parser.usage = "%(prog)s --out DIR --datasets NAME … [options] [-- options of the trainings]"
    _add_grid_options(parser.add_argument_group("grid"))
    _add_data_options(parser.add_argument_group("data"))
    _add_machine_options(parser.add_argument_group("machines"))
    _add_output_options(parser.add_argument_group("output"))
    return parser


def _add_grid_options(group) -> None:
    group.add_argument(
        "--datasets",
        type=known(dataset_key),
        nargs="+",
        required=True,
        metavar="NAME",
        help="data sets, with suffixes",
    )
    group.add_argument(
        "--losses",
        choices=tuple(LOSSES),
        nargs="+",
        default=["xent", "xent+ls", "cosine", "cosine+xent"],
        help="xent: cross-entropy, ls: label smoothing 0.1, +xent: a classifier weighted 0.1; "
        "semantic: cosine loss on class embeddings other than one-hot (default: the four of the "
        "published table of learning rates)",
    )
    group.add_argument(
        "--learning_rates",
        type=non_negative_float,
        nargs="+",
        default=list(LEARNING_RATES),
        metavar="LR",
        help="values of --sgdr_max_lr (default: the published eight, from 2.5 to 0.001)",
    )
    group.add_argument(
        "--seeds", type=seed, nargs="+", default=[0], metavar="N", help="(default: 0)"
    )
    group.add_argument(
        "--val_fraction",
        type=fraction,
        metavar="F",
        help="train each point of the grid a second time without this share of the training "
        "images, on which the learning rate is chosen",
    )
    group.add_argument(
        "--protocols",
        choices=PROTOCOLS,
        nargs="+",
        help="paper: train on all training images and choose by the best test accuracy; "
        "validation: as --val_fraction says (default: paper, with --val_fraction both)",
    )


def _add_data_options(group) -> None:
    group.add_argument(
        "--data_root",
        nargs="+",
        action="extend",
        default=[],
        metavar="[NAME=]DIR",
        help=f"folder of each data set, or one for all, which may contain {DATASET}",
    )
    shipped = ", ".join(f"{name}={value}" for name, value in EMBEDDINGS.items())
    group.add_argument(
        "--embeddings",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=EMBEDDING",
        help=f"class embeddings of each data set for the semantic losses (default: {shipped})",
    )


def _add_machine_options(group) -> None:
    group.add_argument(
        "--address",
        metavar="HOST:PORT",
        help="head of a running Ray cluster, or auto for that of this machine; its machines need "
        "the same paths (default: start Ray on this machine only)",
    )
    group.add_argument(
        "--cpus_per_trial",
        type=positive,
        default=1,
        metavar="N",
        help="CPU cores of each",
    )
    group.add_argument(
        "--gpus_per_trial",
        type=non_negative_float,
        metavar="N",
        help="an integer, or a fraction of one GPU (default: 1 if there are any)",
    )
    group.add_argument(
        "--max_parallel",
        type=positive,
        metavar="N",
        help="trials at once (default: as many as fit)",
    )


def _add_output_options(group) -> None:
    group.add_argument(
        "--out",
        type=user_path,
        required=True,
        metavar="DIR",
        help="folder of all results; the same command again runs what is missing there",
    )
    group.add_argument(
        "--save_models", action="store_true", help="keep the trained network of each trial"
    )
    group.add_argument(
        "--dry_run", action="store_true", help="print the command of each trial that is missing"
    )


def sweep(args: argparse.Namespace) -> None:
    """Run the missing trials of the grid, and report all."""
    trials = _trials(args)
    commands = Commands(
        tuple(args.options),
        _by_dataset("--data_root", map(_named, args.data_root)),
        _by_dataset("--embeddings", map(_named_embedding, args.embeddings)),
        args.val_fraction,
        int(args.gpus_per_trial or 1),
        args.save_models,
    )
    _check(args, commands)
    settings = _settings(trials, commands)
    store = Store(args.out)
    if args.dry_run:
        _show(Report(store, trials), commands)
        return
    with store.opened():
        store.agree(settings)
        report = Report(store, trials)
        if args.save_models:
            _warn_of_missing_models(report)
        _write_record(args, store)
        stopped = _run(args, report, commands)
        report.write_trials()
        report.write_summary()
    _end(report, stopped)


def _trials(args: argparse.Namespace) -> list[Trial]:
    """Return the trials of the grid, in the order in which they are run.

    Raises:
        UsageError: the options contradict each other.
    """
    protocols = args.protocols or ((PAPER,) if args.val_fraction is None else PROTOCOLS)
    if args.val_fraction is None and VALIDATION in protocols:
        raise UsageError("--protocols validation needs --val_fraction F")
    if args.val_fraction is not None and VALIDATION not in protocols:
        raise UsageError("--val_fraction has no effect with --protocols paper")
    if args.val_fraction is not None and not 0 < args.val_fraction < 1:
        raise UsageError(f"--val_fraction {args.val_fraction:g}: must lie between 0 and 1")
    points = grid(
        dict.fromkeys(dataset_key(name) for name in args.datasets),
        dict.fromkeys(args.losses),
        dict.fromkeys(args.learning_rates),
        dict.fromkeys(args.seeds),
    )
    return [Trial(point, protocol) for point in points for protocol in dict.fromkeys(protocols)]


def _named(text: str) -> tuple[str, str]:
    """Return data set and folder; ``""`` stands for all data sets."""
    name, separator, value = text.partition("=")
    if not separator:
        return "", text
    return _dataset("--data_root", name, text), value


def _named_embedding(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not (separator and value):
        raise UsageError(f"--embeddings {text}: has to be NAME=EMBEDDING")
    return _dataset("--embeddings", name, text), value


def _by_dataset(option: str, pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return values by data set; ``""`` stands for all.

    Raises:
        UsageError: a data set has two values.
    """
    found: dict[str, str] = {}
    for dataset, value in pairs:
        if found.setdefault(dataset, value) != value:
            raise UsageError(
                f"{option}: gives {dataset or 'all data sets'} both {found[dataset]} and {value}"
            )
    return found


def _dataset(option: str, name: str, text: str) -> str:
    try:
        return dataset_key(name)
    except UsageError as error:
        raise UsageError(f"{option} {text}: {error}") from error


def _check(args: argparse.Namespace, commands: Commands) -> None:
    """Refuse what no trial could work with.

    Raises:
        UsageError: an option after -- is set by the sweep; a folder does not exist; the number of
            GPUs is not possible.
    """
    check_options(args.options)
    if args.gpus_per_trial and args.gpus_per_trial > 1 and args.gpus_per_trial % 1:
        raise UsageError(f"--gpus_per_trial {args.gpus_per_trial:g}: is not a whole number")
    roots = {dataset_key(name): commands.data_root(dataset_key(name)) for name in args.datasets}
    for root in roots.values():
        if root and not args.address and not os.path.isdir(root):
            raise UsageError(f"--data_root {root}: there is no such folder")


def _settings(trials: Sequence[Trial], commands: Commands) -> dict[str, str]:
    """Return the settings that all trials of a folder share.

    Raises:
        UsageError: the options that are passed on are not for a sweep.
        SystemExit: they are wrong in themselves.
    """
    settings = {"KERAS_BACKEND": backend_name()}
    for trial in {(t.point.loss, t.point.dataset, t.protocol): t for t in trials}.values():
        loss, dataset = LOSSES[trial.point.loss], trial.point.dataset
        module = importlib.import_module(Path(loss.command).stem)
        parser = module.build_parser()
        parser.prog = f"sweep.py: {loss.command}"
        parsed = vars(parser.parse_args(commands.of(trial, Path())[1:]))
        if parsed["lr_schedule"] != "SGDR":
            raise UsageError(
                f"--lr_schedule {parsed['lr_schedule']} after --: a sweep varies the rate of SGDR"
            )
        for name in _SHARED:
            if name in parsed:
                differs = name == "finetune_init"  # by default
                settings[f"{loss.command} --{name}" if differs else f"--{name}"] = str(parsed[name])
        if trial.protocol == VALIDATION:
            settings["--val_fraction"] = number(commands.val_fraction)
        if parse_name(dataset).base == "Folder":  # any other is known by its name
            if parsed["data_root"] is None:
                raise UsageError(f"--data_root: give the folder of {dataset}")
            settings[f"--data_root {dataset}"] = os.path.realpath(parsed["data_root"])
        if loss.semantic:
            settings[f"--embeddings {dataset}"] = parsed["embedding"]
    return settings


def _show(report: Report, commands: Commands) -> None:
    for trial in report.trials:
        if not report.finished(trial):
            command = commands.of(trial, report.store.folder(trial))
            results.info("python %s", shlex.join(command))


def _warn_of_missing_models(report: Report) -> None:
    done = [trial for trial in report.trials if report.finished(trial)]
    missing = sum(not report.store.has_model(trial) for trial in done)
    if missing:
        logger.warning(
            "--save_models: %d trials were finished without it, and their networks are gone; "
            "to train these again, remove their folders in %s",
            missing,
            report.store.path,
        )


def _write_record(args: argparse.Namespace, store: Store) -> None:
    whole = f"{args.command_line} -- {shlex.join(args.options)}"
    options = vars(args) | {"command_line": whole}
    facts = {"options": options, "commit": commit(), "versions": versions()}
    write_record(record_path(store.path / "trials.csv"), facts)


def _run(args: argparse.Namespace, report: Report, commands: Commands) -> StopRequest:
    """Run the missing trials, and report how each ended."""
    missing = {trial.name: trial for trial in report.trials if not report.finished(trial)}
    total, done = len(report.trials), len(report.trials) - len(missing)
    logger.info("%d trials, %d of them finished before", total, done)
    if not missing:
        return StopRequest()
    resources = Resources(args.cpus_per_trial, args.gpus_per_trial)
    with connected(args.address, resources) as ray, stop_requests() as stopping:
        limit = min(args.max_parallel or len(missing), len(missing))
        logger.info("Running %d trials, %d at once", len(missing), min(limit, ray.at_once))
        for job, outcome in ray.run(_jobs(missing, commands, report), limit, stopping):
            done += 1
            _tell(report, missing[job.name], outcome, f"[{done}/{total}]")
    return stopping


def _jobs(trials: dict[str, Trial], commands: Commands, report: Report) -> list[Job]:
    jobs = []
    for name, trial in trials.items():
        command = commands.of(trial, report.store.folder(trial))
        jobs.append(
            Job(name, tuple(command), report.store.prepare(trial, command, commands.options))
        )
    return jobs


def _tell(report: Report, trial: Trial, outcome: int | str, count: str) -> None:
    result = report.update(trial)
    if report.finished(trial):
        report.store.tidy(trial)
        results.info("%s %s", count, describe(trial, result))
        return
    reason = outcome if isinstance(outcome, str) else f"exit status {outcome}"
    last = report.store.last_line(trial)
    results.info("%s %s: failed, %s: %s", count, trial.title, reason, last)


def _end(report: Report, stopping: StopRequest) -> None:
    """Raise the error that the command ends with, unless all trials are finished.

    Raises:
        Interrupted: it was stopped before that.
        UserError: trials failed.
    """
    missing = [trial for trial in report.trials if not report.finished(trial)]
    if missing and stopping.signal is not None:
        finished = len(report.trials) - len(missing)
        raise Interrupted(
            stopping.signal,
            f"{finished} of {len(report.trials)} trials are finished; the same command goes on",
        )
    if missing:
        logs = ", ".join(
            f"{trial.name} ({report.store.folder(trial) / 'log.txt'})" for trial in missing
        )
        raise UserError(
            f"{len(missing)} of {len(report.trials)} trials failed: {logs}; "
            "the same command tries them again"
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    argv = sys.argv[1:] if argv is None else list(argv)
    end = argv.index("--") if "--" in argv else len(argv)
    parser = build_parser()
    parser.set_defaults(options=argv[end + 1 :])
    return console.run(parser, sweep, argv[:end], backend=False)


if __name__ == "__main__":
    console.end_process(main)
