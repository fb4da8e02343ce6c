"""Options of the command for a folder of images; imports nothing heavy, like ``cli``."""

import argparse

from cli.arguments import fraction, known, positive, positive_float, seed
from models import architecture_names, check_architecture

SIZES = (32, 64, 128)
"""Sides of images to choose from, as far as the images have them."""

BATCHES, STEPS = (8, 32), 30
"""Smallest and largest batch; in between, an epoch has so many steps."""

MINUTES = 60.0


def add_split_options(group: argparse._ArgumentGroup) -> None:
    """Add how the images are divided."""
    add = group.add_argument
    add(
        "--test_fraction",
        type=fraction,
        help="share of the images of each class to test on, unless the folder has a test part "
        "(default: 0.2)",
    )
    add(
        "--val_fraction",
        type=fraction,
        default=0.2,
        help="share of the training images of each class to choose by",
    )
    add(
        "--folds",
        type=positive,
        metavar="K",
        help="choose by K-fold cross-validation of the training images instead: each trial is K "
        "trainings",
    )


def add_search_options(group: argparse._ArgumentGroup) -> None:
    """Add the budget of the search, and sizes of images."""
    add = group.add_argument
    add(
        "--minutes",
        type=positive_float,
        metavar="M",
        help=f"time of the search (default without --trials: {MINUTES:g}); the training of the "
        "winner comes on top",
    )
    add("--trials", type=positive, metavar="N", help="trials in all (default: any number)")
    add(
        "--sizes",
        type=positive,
        nargs="+",
        metavar="PX",
        help="sides of the images to choose from (default: those of "
        f"{' '.join(map(str, SIZES))} that the images have)",
    )


def add_training_options(group: argparse._ArgumentGroup) -> None:
    """Add what all trainings share."""
    add = group.add_argument
    add(
        "--architecture",
        type=known(check_architecture),
        metavar="NAME",
        help="network (default: rn18, for images below 32 pixels simple); one of "
        f"{', '.join(architecture_names())}",
    )
    add("--epochs", type=positive, default=60, help="of a whole training")
    add(
        "--batch_size",
        type=positive,
        help=f"images (default: so many that an epoch has {STEPS} steps, but from {BATCHES[0]} to "
        f"{BATCHES[1]})",
    )
    add("--seed", type=seed, default=0, help="of the parts, the search and all trainings")
