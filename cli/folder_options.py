"""Options of ``learn_folder.py``; imports nothing heavy, like all of ``cli``."""

import argparse

from cli.arguments import at_least_two, known, open_fraction, positive, positive_float, seed
from models import FOR_WORDS, architecture_names, check_architecture
from utils import UsageError

SIZES = (32, 64, 128)
"""Image sizes to choose from, as far as the images are that large."""

BATCHES, STEPS = (8, 32), 30
"""Smallest and largest batch size; in between, so that an epoch has this number of steps."""

MINUTES = 60.0

VAL_FRACTION = 0.2
"""Share of the training images that is held out, unless the folder or ``--folds`` says which."""


def add_split_options(group: argparse._ArgumentGroup) -> None:
    """Add the options for dividing the images."""
    add = group.add_argument
    add(
        "--test_fraction",
        type=open_fraction,
        help="share of the images of each class to test on, unless the folder has a test "
        "subfolder (default: 0.2)",
    )
    add(
        "--val_fraction",
        type=open_fraction,
        help="share of the training images of each class to validate candidates on, unless the "
        f"folder has a validation subfolder (default: {VAL_FRACTION:g})",
    )
    add(
        "--folds",
        type=at_least_two,
        metavar="K",
        help="use K-fold cross-validation instead; each trial then consists of K runs",
    )


def add_search_options(group: argparse._ArgumentGroup) -> None:
    """Add the options for the budget of the search and the image sizes."""
    add = group.add_argument
    add(
        "--minutes",
        type=positive_float,
        metavar="M",
        help=f"time for the search (default without --trials: {MINUTES:g}), not including the "
        "final training of the winner",
    )
    add("--trials", type=positive, metavar="N", help="maximum number of trials (default: no limit)")
    add(
        "--sizes",
        type=positive,
        nargs="+",
        metavar="PX",
        help="image sizes in pixels to choose from (default: those of "
        f"{' '.join(map(str, SIZES))} that the images are large enough for)",
    )


def add_training_options(group: argparse._ArgumentGroup) -> None:
    """Add the options that all runs share."""
    add = group.add_argument
    add(
        "--architecture",
        type=known(_check_network),
        metavar="NAME",
        help="network (default: rn18, or simple for images below 32 pixels); one of "
        f"{', '.join(name for name in architecture_names() if name not in FOR_WORDS)}",
    )
    add("--epochs", type=positive, default=60, help="epochs of a full training")
    add(
        "--batch_size",
        type=positive,
        help=f"images per batch (default: for about {STEPS} steps per epoch, from {BATCHES[0]} to "
        f"{BATCHES[1]})",
    )
    add("--seed", type=seed, default=0, help="random seed of split, search and training")


def _check_network(name: str) -> None:
    """Raise UsageError if there is no such network for images."""
    check_architecture(name)
    if name.lower() in FOR_WORDS:
        raise UsageError(f"{name} is for documents; learn_folder.py trains on images")
