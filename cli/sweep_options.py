"""Options of commands that run many trainings: machines; folders and embeddings by data set."""

import argparse
import os

from cli.arguments import non_negative_float, positive
from sweeping.commands import DATASET, EMBEDDINGS
from sweeping.engine import Machines
from sweeping.grid import dataset_key
from utils import UsageError


def add_data_root_option(group: argparse._ArgumentGroup) -> None:
    """Add the folders of the data sets."""
    group.add_argument(
        "--data_root",
        nargs="+",
        action="extend",
        default=[],
        metavar="[NAME=]DIR",
        help=f"folder of each data set, or one for all, which may contain {DATASET}",
    )


def add_embeddings_option(group: argparse._ArgumentGroup) -> None:
    """Add the class embeddings of the data sets."""
    shipped = ", ".join(f"{name}={value}" for name, value in EMBEDDINGS.items())
    group.add_argument(
        "--embeddings",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=EMBEDDING",
        help=f"class embeddings of each data set for the semantic losses (default: {shipped})",
    )


def add_machine_options(group: argparse._ArgumentGroup) -> None:
    """Add where the trials run, and how many at once."""
    group.add_argument(
        "--address",
        metavar="HOST:PORT",
        help="head of a running Ray cluster, or auto for that of this machine; its machines need "
        "the same paths (default: start Ray on this machine only)",
    )
    add_resource_options(group)


def add_resource_options(group: argparse._ArgumentGroup) -> None:
    """Add what each trial gets of a machine, and how many run at once."""
    group.add_argument("--cpus_per_trial", type=positive, default=1, help="CPU cores of each")
    group.add_argument(
        "--gpus_per_trial",
        type=non_negative_float,
        metavar="N",
        help="an integer, or a fraction of one GPU (default: 1 if there are any)",
    )
    group.add_argument(
        "--max_parallel",
        type=positive,
        help="trials at once (default: as many as fit)",
    )


def machines(args: argparse.Namespace) -> Machines:
    """Return where the trials run.

    Raises:
        UsageError: the number of GPUs is not possible.
    """
    gpus = args.gpus_per_trial
    if gpus and gpus > 1 and gpus % 1:
        raise UsageError(f"--gpus_per_trial {gpus:g}: is not a whole number")
    address = getattr(args, "address", None)
    return Machines(address, args.cpus_per_trial, gpus, args.max_parallel)


def data_roots(args: argparse.Namespace) -> dict[str, str]:
    """Return folders by data set; ``""`` stands for all others.

    Raises:
        UsageError: a data set is unknown or has two folders, or a folder does not exist.
    """
    found: dict[str, str] = {}
    for text in args.data_root:
        name, separator, folder = text.partition("=")
        _add(found, "--data_root", name if separator else "", folder if separator else text, text)
    return found


def check_data_root(root: str | None, address: str | None) -> None:
    """Refuse a folder that does not exist on this machine, if the trials run here.

    Raises:
        UsageError: it does not exist.
    """
    if root and not address and not os.path.isdir(root):
        raise UsageError(f"--data_root {root}: there is no such folder")


def embeddings(args: argparse.Namespace) -> dict[str, str]:
    """Return class embeddings by data set.

    Raises:
        UsageError: an argument is not NAME=EMBEDDING, or a data set is unknown or has two.
    """
    found: dict[str, str] = {}
    for text in args.embeddings:
        name, separator, value = text.partition("=")
        if not (separator and value):
            raise UsageError(f"--embeddings {text}: has to be NAME=EMBEDDING")
        _add(found, "--embeddings", name, value, text)
    return found


def _add(found: dict[str, str], option: str, name: str, value: str, text: str) -> None:
    try:
        dataset = name and dataset_key(name)
    except UsageError as error:
        raise UsageError(f"{option} {text}: {error}") from error
    if found.setdefault(dataset, value) != value:
        raise UsageError(
            f"{option}: gives {dataset or 'all data sets'} both {found[dataset]} and {value}"
        )
