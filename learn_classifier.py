"""Train a classifier with softmax + cross-entropy, with or without label smoothing."""

import argparse
from collections.abc import Sequence

from cli import class_options, console, data_options, learning, training_options
from cli.arguments import fraction, user_path
from datasets.base import Dataset
from datasets.class_weights import class_weights
from training.options import TrainingOptions
from training.parallel.group import Group


def build_parser() -> argparse.ArgumentParser:
    """Build the argument parser."""
    return learning.build_parser(__doc__, finetune_init=3, add_objective=_add_objective)


def _add_objective(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--class_list",
        type=user_path,
        help="restrict and order the classes: the first word of each line is a class label",
    )
    group.add_argument(
        "--label_smoothing",
        type=fraction,
        default=0.0,
        metavar="E",
        help="share of the target distribution that is spread over all other classes",
    )


def read_data(args: argparse.Namespace) -> Dataset:
    """Open the data set, restricted to the classes of ``--class_list``."""
    dataset = data_options.open_dataset(args)
    if args.class_list:
        dataset = dataset.restrict(class_options.read_class_list(args.class_list, dataset.labels))
    return dataset


def learn(args: argparse.Namespace) -> None:
    """Train a classifier according to the options."""
    from training import setup

    options = training_options.from_args(args)
    with setup.begun(options) as group:
        _learn(args, options, group)


def _learn(args: argparse.Namespace, options: TrainingOptions, group: Group) -> None:
    from models import build_network
    from models.initialization import initialize
    from training.loop import train
    from training.objectives.objective import cross_entropy_objective
    from training.run import Training

    dataset = data_options.keep_images(args, read_data(args))
    num_classes = len(dataset.labels)
    model = build_network(
        args.architecture,
        num_classes,
        classifier=True,
        input_shape=dataset.input_shape,
        **training_options.convolutions(args),
        **dataset.input_options,
    )
    initialize(model, options.seed, dataset.input_weights)
    objective = cross_entropy_objective(
        num_classes, args.label_smoothing, mixed=dataset.mixing is not None
    ).weighted(class_weights(args.class_weights, dataset))
    train(Training(model, dataset, objective, options, vars(args), group))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return learning.run(build_parser(), learn, argv)


if __name__ == "__main__":
    console.end_process(main)
