"""What the two training commands share: the parser, and running the command."""

import argparse
from collections.abc import Callable, Sequence
from functools import partial

from cli import (
    arguments,
    augmentation_options,
    console,
    data_options,
    host_options,
    training_options,
)


def build_parser(
    description: str, finetune_init: int, add_objective: Callable[[argparse._ArgumentGroup], None]
) -> argparse.ArgumentParser:
    """Build the parser of a training command.

    Args:
        description: description of the command.
        finetune_init: default of ``--finetune_init``.
        add_objective: adds the options of the objective.
    """
    parser = arguments.build_parser(description)
    data_options.add_data_options(parser)
    data_options.add_cache_option(parser)
    augmentation_options.add_augmentation_options(parser)
    training_options.add_model_options(parser, finetune_init)
    objective = parser.add_argument_group("objective")
    add_objective(objective)
    training_options.add_balancing_options(objective)
    training_options.add_training_options(parser)
    training_options.add_device_options(parser)
    training_options.add_schedule_options(parser)
    host_options.add_host_options(parser)
    training_options.add_output_options(parser)
    return parser


def check(args: argparse.Namespace) -> None:
    """Raise UsageError if options contradict each other."""
    augmentation_options.check_augmentation_options(args)
    training_options.check_model_options(args)
    training_options.check_training_options(args)


def start(learn: Callable[[argparse.Namespace], None], args: argparse.Namespace) -> None:
    """Check the options and train, supervising the processes on other machines, if any.

    Args:
        learn: the command's function.
        args: its options.

    Raises:
        UsageError: options do not fit.
    """
    check(args)
    from training.parallel import hosts

    with hosts.together():
        learn(args)


def run(
    parser: argparse.ArgumentParser,
    learn: Callable[[argparse.Namespace], None],
    argv: Sequence[str] | None,
) -> int:
    """Run a training command, possibly on several machines, and return its exit status."""
    return console.run(
        parser,
        partial(start, learn),
        argv,
        prepare=host_options.start_devices,
        in_child=host_options.several,
    )
