"""Options for training on several machines; imports nothing heavy."""

import argparse
import dataclasses
import os

from cli.arguments import known, non_negative_int, positive
from storage.records import commit, versions
from training.options import HostOptions, OutputOptions
from training.parallel.addresses import parse_address, slurm_hosts
from utils import UsageError

# Options that may differ between the hosts of one run: paths, and how a host reads its data.
PER_HOST = {
    "host_rank",
    "command_line",
    "data_root",
    "background_root",
    "class_list",
    "known",
    "embedding",
    "word_vectors",
    "finetune",
    "class_weights",
    "cache",
    "read_workers",
    "queue_size",
    "no_progress",
    *(field.name for field in dataclasses.fields(OutputOptions)),
}

# Libraries that influence weights and metrics.
LIBRARIES = ("jax", "keras", "numpy", "pillow")


def add_host_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for training on several machines."""
    defaults = HostOptions()
    group = parser.add_argument_group(
        "several machines",
        "Run the same command on each; the first one writes files. JAX backend only.",
    )
    group.add_argument("--hosts", type=positive, default=defaults.hosts, help="number of machines")
    group.add_argument(
        "--host_rank", type=non_negative_int, metavar="I", help="rank of this machine, from 0"
    )
    group.add_argument(
        "--coordinator",
        type=known(parse_address),
        metavar="HOST:PORT",
        help="address of the first machine, with a port that is free there",
    )
    group.add_argument(
        "--slurm",
        action="store_true",
        help="take --hosts, --host_rank and --coordinator from Slurm's srun, with one task per "
        "machine",
    )

    def add(name: str, text: str) -> None:
        default = getattr(defaults, name[2:])
        group.add_argument(name, type=positive, default=default, metavar="SECONDS", help=text)

    add("--join_timeout", "several machines: time to wait for the others at the start")
    add("--lost_timeout", "several machines: time without a sign of life after which one is lost")


def several(args: argparse.Namespace) -> bool:
    """Return whether other machines take part."""
    return args.hosts > 1 or args.slurm


def start_devices(args: argparse.Namespace) -> None:
    """Set up the devices and machines that the options name.

    Raises:
        UsageError: options are missing or contradict each other.
        UserError: the other machines cannot be joined.
    """
    from training.parallel import devices

    devices.choose(args.device_type, args.gpus)
    if several(args):
        from training.parallel import hosts

        hosts.join(host_options(args), _shared(args))
    elif args.host_rank is not None or args.coordinator:
        raise UsageError("--host_rank and --coordinator need --hosts N, the number of machines")


def host_options(args: argparse.Namespace) -> HostOptions:
    """Return which machines train together, from the options or from Slurm."""
    timeouts = {"join_timeout": args.join_timeout, "lost_timeout": args.lost_timeout}
    given = {"host_rank": args.host_rank, "coordinator": args.coordinator}
    if args.slurm:
        if args.hosts > 1 or any(value is not None for value in given.values()):
            raise UsageError("--slurm: leave out --hosts, --host_rank and --coordinator")
        return HostOptions(*slurm_hosts(os.environ), **timeouts)
    missing = [f"--{name}" for name, value in given.items() if value is None]
    if missing:
        raise UsageError(f"--hosts {args.hosts}: needs {' and '.join(missing)} as well")
    if args.host_rank >= args.hosts:
        raise UsageError(
            f"--host_rank {args.host_rank}: the ranks of {args.hosts} hosts are 0 to "
            f"{args.hosts - 1}"
        )
    return HostOptions(args.hosts, **given, **timeouts)


def _shared(args: argparse.Namespace) -> dict[str, object]:
    """Return what all machines must share: code, libraries and most options."""
    options = {f"--{name}": value for name, value in vars(args).items() if name not in PER_HOST}
    found = versions()
    libraries = {name: found.get(name) for name in LIBRARIES}
    # The other hosts must know whether the first one will send them its snapshot.
    snapshot = {"whether there is a --snapshot": args.snapshot is not None}
    return {"the commit": commit(), **libraries, **snapshot, **options}
