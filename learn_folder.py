"""Find and train the best network for a folder of images, and report how good it is.

The folder has one subfolder per class, or a split of its own, like --dataset Folder of the other
commands. A test part is set aside and used once, at the end. Ray Tune and Optuna search on the rest
for objective, learning rate, weight decay, augmentation and image size; the winner is trained on
all training images. The same command again goes on where it was.
"""

import argparse
import importlib
import importlib.util
import logging
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, product
from pathlib import Path
from typing import TYPE_CHECKING

import export_model
import report
from cli import arguments, console, host_options, learning
from cli.arguments import user_path
from cli.folder_options import (
    BATCHES,
    MINUTES,
    SIZES,
    STEPS,
    VAL_FRACTION,
    add_search_options,
    add_split_options,
    add_training_options,
)
from cli.sweep_options import add_resource_options, machines
from datasets import get_dataset
from datasets.parts import LEFT_OUT, TEST, TRAIN, Parts, digest, divide, write_links
from evaluation.tables import write_csv
from reporting.runs import read_run
from storage.records import provenance, read_record, record_path, write_record
from sweeping.cluster import Resources, connected
from sweeping.commands import check_options
from sweeping.search.space import AUGMENTATIONS, OBJECTIVES, first_candidates
from sweeping.search.trials import UNFINISHED, Plan, Trial, read_trials, write_table
from sweeping.search.winner import earlier_record, minutes, used_before, winner
from sweeping.stopping import stop_requests
from sweeping.store import MODEL, Store
from training.parallel.startup import import_backend
from utils import Interrupted, UsageError, listing, printable

if TYPE_CHECKING:
    from datasets.images.survey import Survey

logger = logging.getLogger(__name__)
results = logging.getLogger("results")

_FIXED = ("test_fraction", "val_fraction", "folds", "seed")
# Of the trainings: ASHA needs all epochs, Cosine all steps; images are divided beforehand.
_REFUSED = "--early_stopping --val_every --steps_per_execution --folds --test_fraction".split()
_NEEDED = {"ray": "requirements-sweep.txt", "optuna": "requirements-sweep.txt"}


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = arguments.build_parser(__doc__)
    parser.usage = "%(prog)s PHOTOS [options] [-- options of the trainings]"
    add = parser.add_argument
    add("photos", type=user_path, metavar="PHOTOS", help="folder with one subfolder per class")
    add("--out", type=user_path, metavar="DIR", help="results (default: PHOTOS-learned)")
    add("--onnx", action="store_true", help="write model.onnx as well")
    add_split_options(parser.add_argument_group("parts of the images"))
    add_search_options(parser.add_argument_group("search"))
    add_training_options(parser.add_argument_group("trainings"))
    add_resource_options(parser.add_argument_group("machine"))
    return parser


def learn_folder(args: argparse.Namespace) -> None:
    """Look at the folder, search, train the winner, and report."""
    _check(args)
    store = Store(args.out)
    parts, found = _look(args)
    plan = _plan(args, store.path, parts, found.shorter_side)
    _check_commands(plan)
    _announce(args, plan, parts)
    with store.opened():
        store.agree(_settings(args, plan, parts))
        _prepare(args, plan, parts)
        trials = _search(args, plan)
        best = winner(trials)
        _train(plan, best)
        if args.onnx:
            _export(plan)
        _report(args, plan, trials, best, [*found.lines(), *_counts(parts)])


def _check(args: argparse.Namespace) -> None:
    """Refuse what would end in an error after hours.

    Raises:
        UsageError: a package is missing, or options do not fit.
    """
    needed = _NEEDED | ({"tf2onnx": "requirements-export.txt"} if args.onnx else {})
    for package, file in needed.items():
        if importlib.util.find_spec(package) is None:
            raise UsageError(f"{package} is not installed: pip install -r {file}")
    if args.folds == 1:
        raise UsageError("--folds 1: there have to be at least 2")
    if args.val_fraction is not None and args.folds:
        raise UsageError("--folds holds out each part in turn; leave out --val_fraction")
    if args.val_fraction is not None and not 0 < args.val_fraction < 1:
        raise UsageError(f"--val_fraction {args.val_fraction:g}: has to lie between 0 and 1")
    if not os.path.isdir(args.photos):
        raise UsageError(f"there is no folder {args.photos}")
    _check_training_options(args.options)
    args.out = args.out or Path(f"{Path(os.path.realpath(args.photos)).name}-learned")
    if Path(os.path.realpath(args.out)).is_relative_to(os.path.realpath(args.photos)):
        raise UsageError(f"--out {args.out}: is in {args.photos}, where it would be a class")
    if args.minutes is None and args.trials is None:
        args.minutes = MINUTES


def _check_training_options(options: Sequence[str]) -> None:
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


def _look(args: argparse.Namespace) -> "tuple[Parts, Survey]":
    """Tell what is in the folder; return the part of each image, and what images are like."""
    from datasets.images.survey import survey

    options = {"subset_seed": args.seed, "test_fraction": args.test_fraction}
    dataset = get_dataset("Folder", args.photos, **options)
    if dataset.validation is not None and args.val_fraction is not None:
        raise UsageError(f"--val_fraction: {args.photos} has validation images of its own")
    names = [name for split in dataset.splits.values() for name in split.names]
    found = survey([args.photos / name for name in dict.fromkeys(names)])
    results.info("%s: %d classes, %d images", args.photos, dataset.num_classes, len(names))
    for line in found.lines():
        results.info("  %s", line)
    if errors := found.damaged.values():
        logger.warning("damaged, left out: %s", listing(errors))
    damaged = {path.relative_to(args.photos).as_posix() for path in found.damaged}
    fraction = VAL_FRACTION if args.val_fraction is None else args.val_fraction
    parts = divide(dataset, args.photos, damaged, args.folds, fraction, args.seed)
    copies = [m for m in parts.of(LEFT_OUT) if m.file not in damaged]
    if copies:
        told = (f"{printable(m.file)} ({printable(m.reason)})" for m in copies)
        logger.warning("copies, left out: %s", listing(told))
    for line in _counts(parts):
        results.info("  %s", line)
    return parts, found


def _counts(parts: Parts) -> list[str]:
    training, test = (len(parts.of(*of)) for of in ((TRAIN, *parts.folds), (TEST,)))
    return [f"{training} to train on, {test} to test on, {len(parts.of(LEFT_OUT))} left out"]


def _plan(args: argparse.Namespace, out: Path, parts: Parts, side: int) -> Plan:
    """Return what all trainings share."""
    sizes = args.sizes or [size for size in SIZES if size <= side] or [side]
    sizes = tuple(sorted(set(sizes)))
    architecture = args.architecture or ("rn18" if min(sizes) >= 32 else "simple")
    least, most = BATCHES
    training = len(parts.of(TRAIN, *parts.folds))
    batch = args.batch_size or min(max(training // STEPS, least), most)
    held_out = max(len(parts.of(fold)) for fold in parts.folds)
    options = (
        *("--architecture", architecture, "--batch_size", str(batch)),
        *("--epochs", str(args.epochs), "--seed", str(args.seed), *args.options),
    )
    folders = tuple(out / "data" / fold.replace(" ", "-") for fold in parts.folds)
    steps = max(1, (training - held_out) // batch)
    return Plan(out, folders, options, args.epochs, steps, sizes, args.seed)


def _check_commands(plan: Plan) -> None:
    """Raise UsageError if options of the trainings contradict each other, or an augmentation."""
    for candidate, name in product(first_candidates(plan.sizes), AUGMENTATIONS):
        script, *argv = plan.trainings(replace(candidate, augmentation=name))[0]
        args = importlib.import_module(Path(script).stem).build_parser().parse_args(argv)
        try:
            learning.check(args)
        except UsageError as error:
            tried = f" (one of the augmentations that are tried: {name})" if name != "plain" else ""
            raise UsageError(f"{error}{tried}") from error


def _announce(args: argparse.Namespace, plan: Plan, parts: Parts) -> None:
    """Tell what is going to happen."""
    minutes = [f"{args.minutes:g} minutes"] if args.minutes is not None else []
    trials = [f"{args.trials} trials"] if args.trials is not None else []
    results.info(
        "Search for at most %s: objective (%s), learning rate, weight decay, augmentation (%s), "
        "size (%s)",
        *(" or ".join(minutes + trials), ", ".join(OBJECTIVES), ", ".join(AUGMENTATIONS)),
        ", ".join(map(str, plan.sizes)),
    )
    training, held_out = len(parts.of(TRAIN, *parts.folds)), len(parts.of(parts.folds[0]))
    each = ", each fold once" if args.folds else ""
    results.info(
        "Each trial trains with %s and is judged on %d of the %d training images%s",
        *(shlex.join(plan.options), held_out, training, each),
    )
    results.info(
        "Then the winner is trained on all %d and tested once on %d images",
        *(training, len(parts.of(TEST))),
    )


def _settings(args: argparse.Namespace, plan: Plan, parts: Parts) -> dict[str, str]:
    """Return what must not change when the command goes on."""
    fixed = {
        "PHOTOS": os.path.realpath(args.photos),
        "images and parts of the digest": digest(parts),
        "training options": shlex.join(plan.options),
        "--sizes": " ".join(map(str, plan.sizes)),
    }
    return fixed | {f"--{name}": str(getattr(args, name)) for name in _FIXED}


def _prepare(args: argparse.Namespace, plan: Plan, parts: Parts) -> None:
    """Write the part of each image, the folders of links to them, and the record."""
    rows = [(m.file, m.label, m.part, m.reason) for m in parts.members]
    write_csv(plan.out / "parts.csv", ("file", "class", "part", "reason"), rows)
    for fold, folder in zip(parts.folds, plan.parts, strict=True):
        write_links(folder, parts.root, parts.for_search(fold))
    write_links(plan.all_images, parts.root, parts.for_winner())
    write_record(record_path(plan.out / "trials.csv"), provenance(vars(args)))


def _search(args: argparse.Namespace, plan: Plan) -> list[Trial]:
    """Search as long as the budget allows; return all trials.

    Raises:
        Interrupted: a signal has stopped the search.
    """
    trials = read_trials(plan)
    if args.trials is None or _ended(trials) < args.trials:
        signal = _go_on(args, plan, trials)
        trials = read_trials(plan)
        write_table(plan.out / "trials.csv", trials)
        if signal is not None:
            told = (
                f"{_ended(trials)} of {len(trials)} trials have ended; repeat the command to resume"
            )
            raise Interrupted(signal, told)
    return trials


def _ended(trials: Sequence[Trial]) -> int:
    return sum(trial.status != UNFINISHED for trial in trials)


def _go_on(args: argparse.Namespace, plan: Plan, before: Sequence[Trial]) -> int | None:
    """Run trials until the budget is spent; return the signal that has stopped them, if any."""
    from sweeping.search import tuning

    os.environ.update(tuning.SETTINGS)
    where = machines(args)
    wanted = Resources(where.cpus, where.gpus)
    with connected(None, wanted) as cluster, stop_requests() as stopping:
        at_once = min(where.max_parallel or cluster.at_once, cluster.at_once)
        spent = sum(trial.seconds for trial in before) / at_once
        left = None if args.minutes is None else max(0.0, 60 * args.minutes - spent)
        if before:
            logger.info("%d trials begun before, in %.1f minutes", len(before), spent / 60)
        if left != 0:
            tuning.run_search(plan, cluster, at_once, args.trials, left, stopping)
    return stopping.signal


def _train(plan: Plan, best: Trial) -> None:
    """Train the winner on all training images, unless that has been done, and test it once."""
    options = (*plan.options, "--val_every", str(plan.epochs))
    script, *argv = best.candidate.command(plan.all_images, options, plan.out)
    script = str(plan.commands / script)
    argv += ["--model_dump", str(plan.out / MODEL)]
    command = importlib.import_module(Path(script).stem)
    own = command.build_parser().parse_args(argv)
    own.command_line = shlex.join(["python", script, *argv])
    import_backend(partial(host_options.start_devices, own))
    record = read_record(record_path(plan.out / MODEL))
    before = (record.get("options") or {}).get("command_line")
    is_same = before == own.command_line
    if is_same and "final" in record and (plan.out / MODEL).exists():
        logger.info("The winner has been trained before")
        return
    if "final" in record and not is_same:
        logger.warning("The test images have been used before, for another winner")
        write_record(earlier_record(plan, str(before)), record)
    if record and not is_same:
        for path in plan.out.glob("snapshot.h5*"):
            path.unlink()
    accuracy = 100 * best.accuracies[-1]
    results.info("Winner, %.1f %% of the held-out images: %s", accuracy, best.candidate.title)
    logger.info("Training it on all training images: about %.1f min", minutes(plan, best))
    learning.start(command.learn, own)
    for path in plan.out.glob("snapshot.h5*"):
        path.unlink()


def _export(plan: Plan) -> None:
    """Write ``model.onnx``."""
    export_model.export_model(export_model.build_parser().parse_args(_export_options(plan)))


def _export_options(plan: Plan) -> list[str]:
    model, out = str(plan.out / MODEL), str(plan.out / "model.onnx")
    return ["--model", model, "--format", "onnx", "--out", out, "--overwrite"]


def _report(
    args: argparse.Namespace,
    plan: Plan,
    trials: Sequence[Trial],
    best: Trial,
    facts: Sequence[str],
) -> None:
    """Write ``report.html``; ``facts`` are about the images."""
    from reporting.page import Page, Search, write_page

    run = read_run(plan.out)
    facts = [f"Images: {'; '.join(facts)}.", f"Winner: {best.candidate.title}."]
    page = Page(
        f"{Path(os.path.realpath(args.photos)).name}: the best of {len(trials)} trials",
        [run],
        _commands(args, plan, best, run.command),
        facts + used_before(plan, run.command),
        Search([t.row for t in trials], [t.accuracies for t in trials], trials.index(best)),
        {run.history: report.predictions(run)},
    )
    write_page(plan.out / "report.html", page, vars(args))
    results.info("%s", plan.out / "report.html")


def _commands(
    args: argparse.Namespace, plan: Plan, best: Trial, training: str
) -> list[tuple[str, str]]:
    """Return what repeats each step: what it does, and its command line."""
    model, trials = str(plan.out / MODEL), plan.trainings(best.candidate)
    passed_on = f" -- {shlex.join(args.options)}" if args.options else ""
    everything = args.command_line + passed_on
    exporting = ["export_model.py", *_export_options(plan)] if args.onnx else []
    steps = {
        **{f"The winner's trial on {p}": t for p, t in zip(plan.parts, trials, strict=True)},
        "The same network for other programs": exporting,
        "Classes of other images": ["predict.py", "--model", model, "IMAGES/"],
    }
    return [
        ("Everything; the same command resumes where it stopped", everything),
        ("The winner on all training images", training),
        *((what, shlex.join(["python", *words])) for what, words in steps.items() if words),
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    argv = sys.argv[1:] if argv is None else list(argv)
    end = argv.index("--") if "--" in argv else len(argv)
    parser = build_parser()
    parser.set_defaults(options=argv[end + 1 :])
    return console.run(parser, learn_folder, argv[:end], backend=False)


if __name__ == "__main__":
    console.end_process(main)
