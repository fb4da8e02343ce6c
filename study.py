"""Run and report the paper's tables and figures, and smaller studies that CPUs can finish.

Studies are defined in studies/definitions. Their trials run on Ray, like those of sweep.py.
Repeating a command runs what is missing.
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from cli import arguments, console
from cli.arguments import is_given, user_path
from cli.sweep_options import add_data_root_option, add_machine_options, data_roots, machines
from studies.study import NAMES, SCALES, Study, load
from utils import UsageError

results = logging.getLogger("results")


_MACHINES = ("address", "cpus_per_trial", "gpus_per_trial", "max_parallel")
_TAKEN_BY = {
    "run": (
        *("scale", "data_root", "only", "finetune", "mixed_precision", "stored", "dry_run"),
        *_MACHINES,
    ),
    "report": ("store",),
    "run and report": ("out",),
}
"""Options by the actions that take them."""


def build_parser() -> argparse.ArgumentParser:
    """Build the argument parser."""
    parser = arguments.build_parser(__doc__)
    parser.usage = "%(prog)s list | show NAME | run NAME [options] | report NAME [options]"
    parser.add_argument("action", choices=tuple(_ACTIONS), help="what to do")
    parser.add_argument("name", nargs="?", metavar="NAME", help="name of the study, see list")
    parser.add_argument(
        "--out",
        type=user_path,
        metavar="DIR",
        help="run: folder of the runs (default: runs/NAME); report: folder to read results "
        "from and write the report to (default: the results stored in the project)",
    )
    _add_run_options(parser.add_argument_group("run"))
    usual_gpus = "as many as the study says, or 1 if there are any"
    add_machine_options(parser.add_argument_group("machines"), usual_gpus)
    parser.add_argument_group("report").add_argument(
        "--store",
        action="store_true",
        help="add the results in --out to those stored in the project",
    )
    return parser


def _add_run_options(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--scale",
        choices=SCALES,
        help="as published, or small enough for CPUs (default: reduced; with --dry_run, paper if "
        "the study has it)",
    )
    add_data_root_option(group)
    add(
        "--finetune",
        type=user_path,
        metavar="FILE",
        help="ILSVRC weights for the fine-tuned networks, which are left out otherwise",
    )
    add(
        "--only",
        nargs="+",
        default=[],
        metavar="PATTERN",
        help="run only trials whose name, or folder and name, match, such as CUB_xent_* or "
        "second-rate/*",
    )
    add(
        "--mixed_precision",
        choices=("bfloat16", "float16"),
        help="precision of trials for which the study does not set it (default: float32)",
    )
    add(
        "--stored",
        action="store_true",
        help="run only what the results stored in the project lack, at the learning rates that "
        "these choose",
    )
    add("--dry_run", action="store_true", help="only print the commands of the missing trials")


def study(args: argparse.Namespace) -> None:
    """List, show, run or report studies."""
    if (args.name is None) != (args.action == "list"):
        given = "give the name of a study" if args.name is None else "takes no name"
        raise UsageError(f"{args.action}: {given}; the studies are: {', '.join(NAMES)}")
    for actions, names in _TAKEN_BY.items():
        given = next((n for n in names if is_given(args, n) and getattr(args, n) != []), None)
        if given and args.action not in actions.split():
            raise UsageError(f"{args.action}: takes no --{given}, which is for {actions}")
    _ACTIONS[args.action](args)


def _list(args: argparse.Namespace) -> None:
    for name in NAMES:
        results.info("%-16s %s", name, load(name).title)


def _show(args: argparse.Namespace) -> None:
    from studies.reports.description import description

    for line in description(load(args.name)):
        results.info("%s", line)


def _run(args: argparse.Namespace) -> None:
    from studies.results import STORED, read_runs
    from studies.running import Request, run, show

    found, out = load(args.name), args.out or Path("runs") / args.name
    request = Request(
        out,
        machines(args),
        data_roots(args),
        args.finetune,
        tuple(args.only),
        args.mixed_precision,
        tuple(read_runs(STORED / found.name)) if args.stored else (),
    )
    if args.dry_run:
        show(found, args.scale or ("paper" if found.paper else "reduced"), request)
        return
    run(found, args.scale or "reduced", request, lambda: _write(found, out))


def _report(args: argparse.Namespace) -> None:
    from studies.reports.pages import update_pages
    from studies.reports.report import write_report
    from studies.results import STORED, merged, read_runs, read_trials, write_runs

    found = load(args.name)
    if args.store and not args.out:
        raise UsageError("--store: give --out DIR, the folder of the results to add")
    folder, new = STORED / found.name, read_trials(args.out, found) if args.out else []
    if args.out and not new and (found.paper or found.reduced):
        raise UsageError(f"--out {args.out} has no finished trials of {found.name}")
    if args.out and not args.store:
        folder = args.out
    folder.mkdir(parents=True, exist_ok=True)
    if new:
        write_runs(folder, merged(read_runs(folder), new) if args.store else new)
    _write_report(found, folder)
    if folder != args.out:
        for other in map(load, NAMES):
            if found.name in other.reduced_in:
                write_report(other, STORED / other.name)
        update_pages()


def _write(found: Study, out: Path) -> None:
    """Write the results of the runs in a folder and their report, if any are finished."""
    from studies.results import read_trials, write_runs

    if runs := read_trials(out, found):
        write_runs(out, runs)
        _write_report(found, out)


def _write_report(found: Study, folder: Path) -> None:
    from studies.reports.report import write_report

    for line in write_report(found, folder):
        results.info("%s", line)


_ACTIONS = {"list": _list, "show": _show, "run": _run, "report": _report}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return console.run(build_parser(), study, argv, backend=False)


if __name__ == "__main__":
    console.end_process(main)
