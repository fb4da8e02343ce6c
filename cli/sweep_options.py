"""Options of commands that make many training runs: machines, and folders per data set."""

import argparse

from cli.arguments import non_negative_float, positive
from sweeping.commands import DATASET, EMBEDDINGS
from sweeping.engine import Machines
from sweeping.grid import dataset_key
from utils import UsageError


def add_data_root_option(group: argparse._ArgumentGroup) -> None:
    """Add the option for the folders of the data sets."""
    group.add_argument(
        "--data_root",
        nargs="+",
        action="extend",
        default=[],
        metavar="[NAME=]DIR",
        help=f"folder of each data set, or one for all, in which {DATASET} stands for the name",
    )


def add_embeddings_option(group: argparse._ArgumentGroup) -> None:
    """Add the option for the class embeddings of the data sets."""
    shipped = ", ".join(f"{name}={value}" for name, value in EMBEDDINGS.items())
    group.add_argument(
        "--embeddings",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=EMBEDDING",
        help=f"class embeddings for the semantic losses on each data set (default: {shipped})",
    )


_USUAL_GPUS = "1 if there are any"


def add_machine_options(group: argparse._ArgumentGroup, usual_gpus: str = _USUAL_GPUS) -> None:
    """Add the options for where the trials run, and how many at once."""
    group.add_argument(
        "--address",
        metavar="HOST:PORT",
        help="head of a running Ray cluster, or auto for the one on this machine; all machines "
        "need the same paths (default: start Ray on this machine only)",
    )
    add_resource_options(group, usual_gpus)


def add_resource_options(group: argparse._ArgumentGroup, usual_gpus: str = _USUAL_GPUS) -> None:
    """Add the options for the resources of each trial, and how many run at once."""
    group.add_argument("--cpus_per_trial", type=positive, help="CPU cores per trial (default: 1)")
    group.add_argument(
        "--gpus_per_trial",
        type=non_negative_float,
        metavar="N",
        help=f"GPUs per trial: a whole number, or a fraction below 1 (default: {usual_gpus})",
    )
    group.add_argument(
        "--max_parallel",
        type=positive,
        help="maximum number of concurrent trials (default: as many as fit)",
    )


def machines(args: argparse.Namespace) -> Machines:
    """Return where the trials run.

    Raises:
        UsageError: the number of GPUs is above 1 and not a whole number.
    """
    gpus = args.gpus_per_trial
    if gpus and gpus > 1 and gpus % 1:
        raise UsageError(f"--gpus_per_trial {gpus:g}: above 1, give a whole number")
    address = getattr(args, "address", None)
    return Machines(address, args.cpus_per_trial or 1, gpus, args.max_parallel)


def data_roots(args: argparse.Namespace) -> dict[str, str]:
    """Return the folder of each data set; the key ``""`` stands for all others.

    Raises:
        UsageError: a data set is unknown, or is given two folders.
    """
    found: dict[str, str] = {}
    for text in args.data_root:
        name, separator, folder = text.partition("=")
        _add(found, "--data_root", name if separator else "", folder if separator else text, text)
    return found


def embeddings(args: argparse.Namespace) -> dict[str, str]:
    """Return the class embeddings of each data set.

    Raises:
        UsageError: an argument is not NAME=EMBEDDING, or a data set is unknown or occurs twice.
    """
    found: dict[str, str] = {}
    for text in args.embeddings:
        name, separator, value = text.partition("=")
        if not (separator and value):
            raise UsageError(f"--embeddings {text}: must have the form NAME=EMBEDDING")
        _add(found, "--embeddings", name, value, text)
    return found


def _add(found: dict[str, str], option: str, name: str, value: str, text: str) -> None:
    try:
        dataset = name and dataset_key(name)
    except UsageError as error:
        raise UsageError(f"{option} {text}: {error}") from error
    if found.setdefault(dataset, value) != value:
        raise UsageError(
            f"{option}: {dataset or 'all data sets'} cannot have both {found[dataset]} and {value}"
        )
