"""What the two training commands have in common: most of their options, and how they are run."""

import argparse
from collections.abc import Callable, Sequence

import cli
import cli_data
import cli_hosts
import console


def build_parser(
    description: str,
    finetune_init: int,
    add_objective: Callable[[argparse._ArgumentGroup], None],
) -> argparse.ArgumentParser:
    """The command line of a training command.

    Args:
        description: what it trains.
        finetune_init: default of the option of this name.
        add_objective: adds the options that say what is minimized.
    """
    parser = cli.build_parser(description)
    cli_data.add_data_options(parser)
    cli_data.add_cache_option(parser)
    cli.add_model_options(parser, finetune_init)
    add_objective(parser.add_argument_group("objective"))
    cli.add_training_options(parser)
    cli.add_device_options(parser)
    cli.add_schedule_options(parser)
    cli_hosts.add_host_options(parser)
    cli.add_output_options(parser)
    return parser


def run(
    parser: argparse.ArgumentParser,
    learn: Callable[..., None],
    read: Callable[[argparse.Namespace], object],
    argv: Sequence[str] | None,
) -> int:
    """Runs a training command, which reads its data while the backend is imported.

    Args:
        parser: of the command.
        learn: does what it is for, given the parsed arguments and a function that returns the data.
        read: reads the data.
        argv: the command line; None: that of the process.

    Returns:
        Its exit status.
    """
    return console.run(
        parser,
        learn,
        argv,
        prepare=cli_hosts.start_devices,
        read=read,
        apart=cli_hosts.several,
    )
