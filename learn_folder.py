"""Find and train the best network for a folder of images, and report how good it is.

The folder has one subfolder per class, or a split of its own, like --dataset Folder of the other
commands. A test set is set aside and used once, at the end. On the rest, Ray Tune and Optuna search
for the best objective, learning rate, weight decay, augmentation and image size; the winner is
trained on all training images. Repeating the command resumes where it stopped.
"""

import argparse
import importlib
import importlib.util
import logging
import os
import shlex
from collections.abc import Sequence
from functools import partial
from pathlib import Path

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
from reporting.runs import read_run
from storage.records import write_record_of
from sweeping.cluster import Resources, connected
from sweeping.search.commands import check_commands, check_training_options, steps
from sweeping.search.parts import LEFT_OUT, TEST, TRAIN, Parts, digest, divide, write_parts
from sweeping.search.space import AUGMENTATIONS, OBJECTIVES
from sweeping.search.survey import Survey, survey
from sweeping.search.trials import Plan, SearchTrial, ended, read_trials, write_table
from sweeping.search.winner import is_trained, minutes, used_before, winner
from sweeping.stopping import stop_requests
from sweeping.store import MODEL, Store
from training.parallel.startup import backend_name, import_backend
from utils import Interrupted, UsageError, listing, printable

logger = logging.getLogger(__name__)
results = logging.getLogger("results")

_FIXED = ("test_fraction", "val_fraction", "folds", "seed")
_NEEDED = {"ray": "requirements-sweep.txt", "optuna": "requirements-sweep.txt"}


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = arguments.build_parser(__doc__)
    parser.usage = "%(prog)s PHOTOS [options] [-- options for training]"
    add = parser.add_argument
    add("photos", type=user_path, metavar="PHOTOS", help="folder with one subfolder per class")
    add("--out", type=user_path, metavar="DIR", help="folder of results (default: PHOTOS-learned)")
    add("--onnx", action="store_true", help="write model.onnx as well")
    add_split_options(parser.add_argument_group("parts of the images"))
    add_search_options(parser.add_argument_group("search"))
    add_training_options(parser.add_argument_group("training"))
    add_resource_options(parser.add_argument_group("machine"))
    return parser


def learn_folder(args: argparse.Namespace) -> None:
    """Inspect the folder, search, train the winner, and report."""
    _check(args)
    store = Store(args.out)
    parts, found = _inspect(args)
    plan = _plan(args, store.path, parts, found.shorter_side)
    check_commands(plan, learning.check)
    _announce(args, plan, parts)
    with store.opened():
        store.agree(_settings(args, plan, parts))
        write_parts(plan, parts)
        write_record_of(store.path / "trials.csv", vars(args))
        trials = _search(args, plan)
        best = winner(trials)
        _train(plan, best)
        export = _export(plan) if args.onnx else []
        _report(args, plan, trials, best, [*found.lines(), parts.summary], export)


def _check(args: argparse.Namespace) -> None:
    """Refuse what would end in an error after hours.

    Raises:
        UsageError: a package is missing, or options do not fit.
    """
    needed = _NEEDED | ({"tf2onnx": "requirements-export.txt"} if args.onnx else {})
    for package, file in needed.items():
        if importlib.util.find_spec(package) is None:
            raise UsageError(f"{package} is not installed: pip install -r {file}")
    if args.onnx and backend_name() != "tensorflow":
        raise UsageError(f"--onnx needs the TensorFlow backend, not {backend_name()}")
    if args.val_fraction is not None and args.folds:
        raise UsageError("--folds holds out each part in turn; leave out --val_fraction")
    if not os.path.isdir(args.photos):
        what = "is a file, not a folder" if os.path.exists(args.photos) else "does not exist"
        raise UsageError(f"{args.photos} {what}; give a folder with one folder of images per class")
    check_training_options(args.options)
    args.out = args.out or Path(f"{Path(os.path.realpath(args.photos)).name}-learned")
    if Path(os.path.realpath(args.out)).is_relative_to(os.path.realpath(args.photos)):
        raise UsageError(f"--out {args.out}: is in {args.photos}, where it would be a class")
    if args.minutes is None and args.trials is None:
        args.minutes = MINUTES


def _inspect(args: argparse.Namespace) -> tuple[Parts, Survey]:
    """Log what is in the folder; return the part of each image, and what images are like."""
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
        reasons = (f"{printable(m.file)} ({printable(m.reason)})" for m in copies)
        logger.warning("copies, left out: %s", listing(reasons))
    results.info("  %s", parts.summary)
    return parts, found


def _plan(args: argparse.Namespace, out: Path, parts: Parts, side: int) -> Plan:
    """Return what all runs share."""
    sizes = args.sizes or [size for size in SIZES if size <= side] or [side]
    sizes = tuple(sorted(set(sizes)))
    architecture = args.architecture or ("rn18" if min(sizes) >= 32 else "simple")
    least, most = BATCHES
    training = len(parts.of(TRAIN, *parts.folds))
    batch = args.batch_size or min(max(training // STEPS, least), most)
    held_out = max(len(parts.of(fold)) for fold in parts.folds)
    network = ("--architecture", architecture, "--batch_size", str(batch))
    options = (*network, "--epochs", str(args.epochs), "--seed", str(args.seed), *args.options)
    folders = tuple(out / "data" / fold.replace(" ", "-") for fold in parts.folds)
    steps = max(1, (training - held_out) // batch)
    return Plan(out, folders, options, args.epochs, steps, sizes, args.seed)


def _announce(args: argparse.Namespace, plan: Plan, parts: Parts) -> None:
    """Log what is going to happen."""
    minutes = [f"{args.minutes:g} minutes"] if args.minutes is not None else []
    trials = [f"{args.trials} trials"] if args.trials is not None else []
    results.info(
        "Search for at most %s: objective (%s), learning rate, weight decay, augmentation (%s), "
        "size (%s)",
        " or ".join(minutes + trials),
        ", ".join(OBJECTIVES),
        ", ".join(AUGMENTATIONS),
        ", ".join(map(str, plan.sizes)),
    )
    training, held_out = len(parts.of(TRAIN, *parts.folds)), len(parts.of(parts.folds[0]))
    each = ", each fold once" if args.folds else ""
    results.info(
        "Each trial trains with %s and is judged on %d of the %d training images%s",
        shlex.join(plan.options),
        held_out,
        training,
        each,
    )
    tested = len(parts.of(TEST))
    results.info(
        "Then the winner is trained on all %d and tested once on %d images", training, tested
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


def _search(args: argparse.Namespace, plan: Plan) -> list[SearchTrial]:
    """Search as long as the budget allows; return all trials.

    Raises:
        Interrupted: a signal has stopped the search.
    """
    trials = read_trials(plan)
    if args.trials is None or ended(trials) < args.trials:
        signal = _resume(args, plan, trials)
        trials = read_trials(plan)
        write_table(plan.out / "trials.csv", trials)
        if signal is not None:
            count = f"{ended(trials)} of {len(trials)} trials have ended"
            raise Interrupted(signal, f"{count}; repeat the command to resume")
    return trials


def _resume(args: argparse.Namespace, plan: Plan, before: Sequence[SearchTrial]) -> int | None:
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


def _train(plan: Plan, best: SearchTrial) -> None:
    """Train the winner on all training images, unless that has been done, and test it once."""
    options = (*plan.options, "--val_every", str(plan.epochs))
    script, *argv = best.candidate.command(plan.all_images, options, plan.out)
    script = str(plan.commands / script)
    argv += ["--model_dump", str(plan.out / MODEL)]
    command = importlib.import_module(Path(script).stem)
    own = command.build_parser().parse_args(argv)
    own.command_line = shlex.join(["python", script, *argv])
    import_backend(partial(host_options.start_devices, own))
    if is_trained(plan, own.command_line):
        logger.info("The winner has been trained before")
        return
    accuracy = 100 * best.accuracies[-1]
    results.info("Winner, %.1f %% of the held-out images: %s", accuracy, best.candidate.title)
    logger.info("Training it on all training images: about %.1f min", minutes(plan, best))
    learning.start(command.learn, own)
    for path in plan.out.glob("snapshot.h5*"):
        path.unlink()


def _export(plan: Plan) -> list[str]:
    """Write ``model.onnx``; return script and arguments."""
    model, out = str(plan.out / MODEL), str(plan.out / "model.onnx")
    argv = ["--model", model, "--format", "onnx", "--out", out, "--overwrite"]
    export_model.export_model(export_model.build_parser().parse_args(argv))
    return ["export_model.py", *argv]


def _report(
    args: argparse.Namespace,
    plan: Plan,
    trials: Sequence[SearchTrial],
    best: SearchTrial,
    facts: Sequence[str],
    export: Sequence[str],
) -> None:
    """Write ``report.html``, with ``facts`` about the images and the command of the export."""
    from reporting.page import Page, Search, write_page

    run = read_run(plan.out)
    search = args.command_line + (f" -- {shlex.join(args.options)}" if args.options else "")
    facts = [f"Images: {'; '.join(facts)}.", f"Winner: {best.candidate.title}."]
    page = Page(
        f"{Path(os.path.realpath(args.photos)).name}: the best of {len(trials)} trials",
        [run],
        steps(plan, best, search, run.command, export),
        facts + used_before(plan, run.command),
        Search([t.row for t in trials], [t.accuracies for t in trials], trials.index(best)),
        {run.history: report.predictions(run)},
    )
    write_page(plan.out / "report.html", page, vars(args))
    results.info("%s", plan.out / "report.html")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return console.run_with_options(build_parser(), learn_folder, argv)


if __name__ == "__main__":
    console.end_process(main)
