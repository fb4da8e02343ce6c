"""Train a grid of learning rates, losses, data sets and seeds on Ray; tabulate the best.

Everything after -- is passed to the training command of every trial, for example
-- --architecture resnet-50 --batch_size 96.
"""

import argparse
import logging
import shlex
from collections.abc import Sequence

from cli import arguments, console
from cli.arguments import known, non_negative_float, open_fraction, seed, user_path
from cli.sweep_options import (
    add_data_root_option,
    add_embeddings_option,
    add_machine_options,
    data_roots,
    embeddings,
    machines,
)
from datasets.open_sets import parse_split
from storage.records import write_record_of
from sweeping.commands import OPEN_SET, VERIFICATION, Commands, check_options
from sweeping.engine import (
    check_data_root,
    check_evaluation,
    end,
    run_missing,
    shared_settings,
    show_missing,
)
from sweeping.grid import (
    LEARNING_RATES,
    LOSSES,
    PAPER,
    PROTOCOLS,
    VALIDATION,
    Trial,
    dataset_key,
    grid,
)
from sweeping.results.report import Report
from sweeping.store import MODEL, Store
from utils import UsageError

logger = logging.getLogger(__name__)


def build_parser() -> argparse.ArgumentParser:
    """Build the argument parser."""
    parser = arguments.build_parser(__doc__)
    parser.usage = "%(prog)s --out DIR --datasets NAME … [options] [-- options for training]"
    _add_grid_options(parser.add_argument_group("grid"))
    data = parser.add_argument_group("data")
    add_data_root_option(data)
    add_embeddings_option(data)
    add_machine_options(parser.add_argument_group("machines"))
    _add_output_options(parser.add_argument_group("output"))
    return parser


def _add_grid_options(group) -> None:
    group.add_argument(
        "--datasets",
        type=known(dataset_key),
        nargs="+",
        required=True,
        metavar="NAME",
        help="data sets, with any suffixes",
    )
    group.add_argument(
        "--losses",
        choices=tuple(LOSSES),
        nargs="+",
        default=["xent", "xent+ls", "cosine", "cosine+xent"],
        help="xent: cross-entropy; +ls: with label smoothing 0.1; +xent: plus cross-entropy with "
        "weight 0.1; semantic: cosine loss on class embeddings other than one-hot (default: the "
        "four in the published table of learning rates)",
    )
    group.add_argument(
        "--learning_rates",
        type=non_negative_float,
        nargs="+",
        default=list(LEARNING_RATES),
        metavar="LR",
        help="values of --sgdr_max_lr, or of --cosine_max_lr or --step_lr if -- --lr_schedule "
        "chooses these schedules (default: the published eight, from 2.5 to 0.001)",
    )
    group.add_argument(
        "--seeds", type=seed, nargs="+", default=[0], metavar="N", help="random seeds (default: 0)"
    )
    _add_trial_options(group)


def _add_trial_options(group) -> None:
    group.add_argument(
        "--splits",
        type=known(parse_split),
        nargs="+",
        default=[""],
        metavar="arpl:N",
        help="open-set splits, like --split of the training commands: train each point of the "
        "grid on the known classes of each (default: on all classes)",
    )
    group.add_argument(
        "--evaluate",
        choices=(OPEN_SET, VERIFICATION),
        help="after training, evaluate the network of each trial with evaluate_open_set.py or "
        "evaluate_verification.py, and keep the network",
    )
    group.add_argument(
        "--val_fraction",
        type=open_fraction,
        metavar="F",
        help="train each point of the grid a second time, holding out this share of the training "
        "images to choose the learning rate on",
    )
    group.add_argument(
        "--protocols",
        choices=PROTOCOLS,
        nargs="+",
        help="paper: train on all training images and choose by the best test accuracy; "
        "validation: choose on held-out images, see --val_fraction (default: paper; with "
        "--val_fraction, both)",
    )


def _add_output_options(group) -> None:
    group.add_argument(
        "--out",
        type=user_path,
        required=True,
        metavar="DIR",
        help="folder for all results; repeating the command runs what is missing there",
    )
    group.add_argument(
        "--save_models", action="store_true", help="keep the trained network of each trial"
    )
    group.add_argument(
        "--dry_run", action="store_true", help="only print the commands of the missing trials"
    )


def sweep(args: argparse.Namespace) -> None:
    """Run the missing trials of the grid and report all of its trials."""
    trials = _trials(args)
    commands = Commands(
        tuple(args.options),
        data_roots(args),
        embeddings(args),
        args.val_fraction,
        int(args.gpus_per_trial or 1),
        args.save_models,
        (args.evaluate,) if args.evaluate else (),
    )
    where = machines(args)
    _check(args, commands)
    settings = shared_settings(trials, commands, "sweep.py")
    store = Store(args.out)
    if args.dry_run:
        store.check(settings)
        show_missing(Report(store, trials, bool(args.evaluate)), commands)
        return
    with store.opened():
        store.agree(settings)
        report = Report(store, trials, bool(args.evaluate))
        if args.save_models:
            _warn_of_missing_models(report)
        _write_record(args, store)
        stopped = run_missing(report, commands, where)
        report.write_trials()
        report.write_summary()
    end([report], stopped)


def _trials(args: argparse.Namespace) -> list[Trial]:
    """Return the trials of the grid in execution order.

    Raises:
        UsageError: the options contradict each other.
    """
    protocols = args.protocols or ((PAPER,) if args.val_fraction is None else PROTOCOLS)
    if args.val_fraction is None and VALIDATION in protocols:
        raise UsageError("--protocols validation needs --val_fraction F")
    if args.val_fraction is not None and VALIDATION not in protocols:
        raise UsageError("--val_fraction has no effect with --protocols paper")
    points = grid(
        dict.fromkeys(dataset_key(name) for name in args.datasets),
        dict.fromkeys(args.losses),
        dict.fromkeys(args.learning_rates),
        dict.fromkeys(args.seeds),
        dict.fromkeys(args.splits),
    )
    return [Trial(point, protocol) for point in points for protocol in dict.fromkeys(protocols)]


def _check(args: argparse.Namespace, commands: Commands) -> None:
    """Refuse settings under which no trial could run.

    Raises:
        UsageError: an option after ``--`` is set by the sweep itself, or a folder does not exist.
    """
    check_options(args.options)
    for name in args.datasets:
        check_data_root(commands.data_root(dataset_key(name)), not args.address)
        check_evaluation(commands, dataset_key(name), args.splits, not args.address)


def _warn_of_missing_models(report: Report) -> None:
    done = [trial for trial in report.trials if report.finished(trial)]
    missing = sum(not (report.store.folder(trial) / MODEL).exists() for trial in done)
    if missing:
        logger.warning(
            "--save_models: %d trials were finished without it, so their networks are lost; "
            "to train them again, remove their folders in %s",
            missing,
            report.store.path,
        )


def _write_record(args: argparse.Namespace, store: Store) -> None:
    whole = f"{args.command_line} -- {shlex.join(args.options)}"
    write_record_of(store.path / "trials.csv", vars(args) | {"command_line": whole})


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return console.run_with_options(build_parser(), sweep, argv)


if __name__ == "__main__":
    console.end_process(main)
