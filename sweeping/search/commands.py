"""Command lines of a search: checked before it begins, and listed in its report."""

import argparse
import importlib
import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain, product
from pathlib import Path

from sweeping.commands import check_options
from sweeping.search.space import AUGMENTATIONS, first_candidates
from sweeping.search.trials import Plan, SearchTrial
from sweeping.store import MODEL
from utils import UsageError

# Of the runs: ASHA needs all epochs, Cosine all steps; images are divided beforehand.
_REFUSED = (
    "--early_stopping --val_every --steps_per_execution --folds --test_fraction --subset_seed"
).split()


def check_training_options(options: Sequence[str]) -> None:
    """Refuse options after -- that the search sets, or that a training command does not know.

    Raises:
        UsageError: the search sets one of them.
        SystemExit: they are wrong in themselves.
    """
    check_options(options, by="search")
    given = {option.partition("=")[0] for option in options if option.startswith("--")}
    fixed = "--architecture simple --batch_size 1 --epochs 1".split()
    for candidate in first_candidates((32,)):
        script, *argv = candidate.command(Path(), fixed, Path())
        taken = [w for w in chain(argv, *AUGMENTATIONS.values(), _REFUSED) if w in given]
        if taken:
            raise UsageError(f"{taken[0]} after --: the search sets this option for each trial")
        parser = importlib.import_module(Path(script).stem).build_parser()
        parser.prog = f"learn_folder.py: {script}"
        parser.parse_args([*argv, *options])


def check_commands(plan: Plan, check: Callable[[argparse.Namespace], None]) -> None:
    """Check the options of the first candidates with each augmentation.

    Args:
        plan: plan of the search.
        check: raises UsageError for options of a training that contradict each other.

    Raises:
        UsageError: ``check`` has raised it.
    """
    for candidate, name in product(first_candidates(plan.sizes), AUGMENTATIONS):
        script, *argv = plan.command_lines(replace(candidate, augmentation=name))[0]
        args = importlib.import_module(Path(script).stem).build_parser().parse_args(argv)
        try:
            check(args)
        except UsageError as error:
            tried = f" (one of the augmentations that are tried: {name})" if name != "plain" else ""
            raise UsageError(f"{error}{tried}") from error


def steps(
    plan: Plan, best: SearchTrial, search: str, training: str, export: Sequence[str]
) -> list[tuple[str, str]]:
    """Return what repeats each step of a search: what it does, and its command line.

    Args:
        plan: plan of the search.
        best: its winner.
        search: command line of the search.
        training: command line of the winner's training on all training images.
        export: script and arguments of the export; empty: none.
    """
    trials = zip(plan.parts, plan.command_lines(best.candidate), strict=True)
    predict = ["predict.py", "--model", str(plan.out / MODEL), "IMAGES/"]
    commands = [
        *((f"The winner's trial on {part}", command) for part, command in trials),
        *([("The same network for other programs", export)] if export else []),
        ("Classes of other images", predict),
    ]
    return [
        ("Everything; the same command resumes where it stopped", search),
        ("The winner on all training images", training),
        *((what, shlex.join(["python", *words])) for what, words in commands),
    ]
