"""The paper's tables and figures, and studies at a size for CPUs: run them, report them.

A study is data in studies/definitions; its trainings run on Ray, as those of sweep.py do. The same
command again runs what is missing.
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from cli import arguments, console
from cli.arguments import user_path
from cli.sweep_options import add_data_root_option, add_machine_options, data_roots, machines
from studies.study import NAMES, SCALES, Study, load
from utils import UsageError

results = logging.getLogger("results")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = arguments.build_parser(__doc__)
    parser.usage = "%(prog)s list | show NAME | run NAME [options] | report NAME [options]"
    parser.add_argument("action", choices=tuple(_ACTIONS), help="what to do")
    parser.add_argument("name", nargs="?", metavar="NAME", help="of the study, see list")
    parser.add_argument(
        "--out",
        type=user_path,
        metavar="DIR",
        help="folder of the trainings of run (default: runs/NAME); report takes the results from "
        "there and writes the report there (default: the results that belong to the project)",
    )
    run = parser.add_argument_group("run")
    run.add_argument(
        "--scale",
        choices=SCALES,
        default="reduced",
        help="as published, or at a size that CPUs can do",
    )
    add_data_root_option(run)
    run.add_argument(
        "--finetune",
        type=user_path,
        metavar="FILE",
        help="weights of ILSVRC for the fine-tuned networks, which are left out otherwise",
    )
    run.add_argument(
        "--only",
        nargs="+",
        default=[],
        metavar="PATTERN",
        help="run only trials with such names, like CUB_xent_*_seed0",
    )
    run.add_argument(
        "--dry_run", action="store_true", help="print the command of each trial that is missing"
    )
    add_machine_options(parser.add_argument_group("machines"))
    parser.add_argument_group("report").add_argument(
        "--store",
        action="store_true",
        help="add the results in --out to those that belong to the project",
    )
    return parser


def study(args: argparse.Namespace) -> None:
    if (args.name is None) != (args.action == "list"):
        given = "give the name of a study" if args.name is None else "takes no name"
        raise UsageError(f"{args.action}: {given}; known are: {', '.join(NAMES)}")
    _ACTIONS[args.action](args)


def _list(args: argparse.Namespace) -> None:
    for name in NAMES:
        results.info("%-16s %s", name, load(name).title)


def _show(args: argparse.Namespace) -> None:
    from studies.report import description

    for line in description(load(args.name)):
        results.info("%s", line)


def _run(args: argparse.Namespace) -> None:
    from studies.running import Request, run, show

    found, out = load(args.name), args.out or Path("runs") / args.name
    request = Request(out, machines(args), data_roots(args), args.finetune, tuple(args.only))
    if args.dry_run:
        show(found, args.scale, request)
        return
    run(found, args.scale, request, lambda: _write(found, out))


def _report(args: argparse.Namespace) -> None:
    from studies.pages import update_pages
    from studies.report import write_report
    from studies.results import STORED, merged, read_runs, read_trials, write_runs

    found = load(args.name)
    if args.store and not args.out:
        raise UsageError("--store: give --out DIR, whose results are to be added")
    folder, new = STORED / found.name, read_trials(args.out, found) if args.out else []
    if args.out and not new:
        raise UsageError(f"--out {args.out}: has no finished trials of {found.name}")
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
    """Write the results in a folder of trainings, and their report, if there are any."""
    from studies.results import read_trials, write_runs

    if runs := read_trials(out, found):
        write_runs(out, runs)
        _write_report(found, out)


def _write_report(found: Study, folder: Path) -> None:
    from studies.report import write_report

    for line in write_report(found, folder):
        results.info("%s", line)


_ACTIONS = {"list": _list, "show": _show, "run": _run, "report": _report}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return console.run(build_parser(), study, argv, backend=False)


if __name__ == "__main__":
    console.end_process(main)
