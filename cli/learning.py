"""What the two training commands have in common: most of their options, and how they are run."""

import argparse
from collections.abc import Callable, Sequence

from cli import arguments, console, data_options, host_options, training_options


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
    parser = arguments.build_parser(description)
    data_options.add_data_options(parser)
    data_options.add_cache_option(parser)
    training_options.add_model_options(parser, finetune_init)
    add_objective(parser.add_argument_group("objective"))
    training_options.add_training_options(parser)
    training_options.add_device_options(parser)
    training_options.add_schedule_options(parser)
    host_options.add_host_options(parser)
    training_options.add_output_options(parser)
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
        prepare=host_options.start_devices,
        read=read,
        apart=host_options.several,
    )
