"""Find and train the best network for a folder of images, and report how good it is.

The folder has one subfolder per class, or a split of its own, like --dataset Folder of the other
commands. A test part is set aside and used once, at the end. Ray Tune and Optuna search on the rest
for objective, learning rate, weight decay, augmentation and image size; the winner is trained on
all training images. The same command again goes on where it was.
"""

import argparse
import hashlib
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
from cli import arguments, console, host_options
from cli.arguments import fraction, known, positive, positive_float, seed, user_path
from cli.sweep_options import add_resource_options, machines
from datasets import get_dataset
from datasets.parts import LEFT_OUT, TEST, TRAIN, Parts, divide, write_links
from evaluation.tables import write_csv
from models import architecture_names, check_architecture
from reporting.runs import read_run
from storage.records import provenance, read_record, record_path, write_record
from sweeping.cluster import Resources, connected
from sweeping.space import AUGMENTATIONS, OBJECTIVES
from sweeping.stopping import stop_requests
from sweeping.store import MODEL, Store
from sweeping.trials import UNFINISHED, Plan, Trial, read_trials, winner, write_table
from training.parallel.startup import import_backend
from utils import Interrupted, UsageError, printable, without_log

logger = logging.getLogger(__name__)
results = logging.getLogger("results")

SIZES = (32, 64, 128)
_MINUTES = 60.0
_FIXED = ("test_fraction", "val_fraction", "folds", "seed")
_NEEDED = {"ray": "requirements-sweep.txt", "optuna": "requirements-sweep.txt"}


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = arguments.build_parser(__doc__)
    add = parser.add_argument
    add("photos", type=user_path, metavar="PHOTOS", help="folder with one subfolder per class")
    add("--out", type=user_path, metavar="DIR", help="results (default: PHOTOS-learned)")
    add("--onnx", action="store_true", help="write model.onnx as well")
    _add_split_options(parser.add_argument_group("parts of the images"))
    _add_search_options(parser.add_argument_group("search"))
    _add_training_options(parser.add_argument_group("trainings"))
    add_resource_options(parser.add_argument_group("machine"))
    return parser


def _add_split_options(group: argparse._ArgumentGroup) -> None:
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


def _add_search_options(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--minutes",
        type=positive_float,
        metavar="M",
        help=f"time of the search (default without --trials: {_MINUTES:g}); the training of the "
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


def _add_training_options(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--architecture",
        type=known(check_architecture),
        metavar="NAME",
        help="network (default: rn18, for images below 32 pixels simple); one of "
        f"{', '.join(architecture_names())}",
    )
    add("--epochs", type=positive, default=60, help="of a whole training")
    add("--batch_size", type=positive, default=32, help="images")
    add("--seed", type=seed, default=0, help="of the parts, the search and all trainings")


def learn_folder(args: argparse.Namespace) -> None:
    """Look at the folder, search, train the winner, and report."""
    _check(args)
    args.out = args.out or Path(f"{Path(os.path.realpath(args.photos)).name}-learned")
    store = Store(args.out)
    parts, side = _look(args)
    plan = _plan(args, store.path, parts, side)
    with store.opened():
        store.agree(_settings(args, plan, parts))
        _prepare(args, plan, parts)
        trials = _search(args, plan)
        best = winner(trials)
        _train(plan, best)
        if args.onnx:
            _export(plan)
        _report(args, plan, trials, best, parts)


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
    if not os.path.isdir(args.photos):
        raise UsageError(f"there is no folder {args.photos}")


def _look(args: argparse.Namespace) -> tuple[Parts, int]:
    """Tell what is in the folder; return the part of each image, and the usual shorter side."""
    from datasets.images.survey import survey

    options = {"subset_seed": args.seed, "test_fraction": args.test_fraction}
    dataset = get_dataset("Folder", args.photos, **options)
    names = [name for split in dataset.splits.values() for name in split.names]
    found = survey([args.photos / name for name in dict.fromkeys(names)])
    results.info("%s: %d classes, %d images", args.photos, dataset.num_classes, len(names))
    for line in found.lines():
        results.info("  %s", line)
    for error in found.damaged.values():
        logger.warning("left out: %s", error)
    damaged = {path.relative_to(args.photos).as_posix() for path in found.damaged}
    parts = divide(dataset, args.photos, damaged, args.folds, args.val_fraction, args.seed)
    copies = [m for m in parts.of(LEFT_OUT) if m.file not in damaged]
    for member in copies:
        logger.warning("left out: %s is a %s", printable(member.file), printable(member.reason))
    results.info("  %d copies of other images", len(copies))
    return parts, found.shorter_side


def _plan(args: argparse.Namespace, out: Path, parts: Parts, side: int) -> Plan:
    """Tell what is going to happen, and return what all trainings share."""
    sizes = args.sizes or [size for size in SIZES if size <= side] or [side]
    sizes = tuple(sorted(set(sizes)))
    architecture = args.architecture or ("rn18" if min(sizes) >= 32 else "simple")
    options = (
        *("--architecture", architecture, "--batch_size", str(args.batch_size)),
        *("--epochs", str(args.epochs), "--seed", str(args.seed)),
    )
    if args.minutes is None and args.trials is None:
        args.minutes = _MINUTES
    training, held_out = len(parts.of(TRAIN, *parts.folds)), len(parts.of(parts.folds[0]))
    budget = [f"{args.minutes:g} minutes"] if args.minutes is not None else []
    budget += [f"{args.trials} trials"] if args.trials is not None else []
    chosen = "one fold of" if args.folds else "of"
    results.info(
        "Search, for at most %s: %d objectives, learning rate, weight decay, augmentation (%s), "
        "size (%s); each trial trains %s for up to %d epochs, %d %s %d training images held out to "
        "choose by",
        *(
            " or ".join(budget),
            len(OBJECTIVES),
            ", ".join(AUGMENTATIONS),
            ", ".join(map(str, sizes)),
        ),
        *(architecture, args.epochs, held_out, chosen, training),
    )
    results.info(
        "Then the winner is trained on all %d and tested once on %d images",
        *(training, len(parts.of(TEST))),
    )
    folders = tuple(out / "data" / fold.replace(" ", "-") for fold in parts.folds)
    return Plan(out, folders, options, args.epochs, sizes, args.seed)


def _settings(args: argparse.Namespace, plan: Plan, parts: Parts) -> dict[str, str]:
    """Return what must not change when the command goes on."""
    rows = repr(parts.members).encode(errors="surrogateescape")
    fixed = {
        "PHOTOS": os.path.realpath(args.photos),
        "images and parts of the digest": hashlib.sha256(rows).hexdigest()[:12],
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
    write_links(_all_images(plan), parts.root, parts.for_winner())
    write_record(record_path(plan.out / "trials.csv"), provenance(vars(args)))


def _all_images(plan: Plan) -> Path:
    return plan.out / "data" / "all"


def _search(args: argparse.Namespace, plan: Plan) -> list[Trial]:
    """Search as long as the budget allows; return all trials.

    Raises:
        Interrupted: a signal has stopped the search.
        UserError: no trial has finished.
    """
    with without_log("numexpr.utils", "threads"):
        from sweeping import tuning

    os.environ.update(tuning.SETTINGS)
    where = machines(args)
    before = read_trials(plan)
    with (
        connected(None, Resources(where.cpus, where.gpus)) as cluster,
        stop_requests() as stopping,
    ):
        at_once = min(where.max_parallel or cluster.at_once, cluster.at_once)
        spent = sum(trial.seconds for trial in before) / at_once
        left = None if args.minutes is None else max(0.0, 60 * args.minutes - spent)
        if before:
            logger.info("%d trials begun before, in %.1f minutes", len(before), spent / 60)
        if left != 0 and not (args.trials and len(before) >= args.trials):
            tuning.run_search(plan, cluster, at_once, args.trials, left, stopping)
    trials = read_trials(plan)
    write_table(plan.out / "trials.csv", trials)
    if stopping.signal is not None:
        ended = sum(trial.status != UNFINISHED for trial in trials)
        told = f"{ended} of {len(trials)} trials have ended; the same command goes on"
        raise Interrupted(stopping.signal, told)
    return trials


def _train(plan: Plan, best: Trial) -> None:
    """Train the winner on all training images, unless that has been done, and test it once."""
    options = (*plan.options, "--val_every", str(plan.epochs))
    script, *argv = best.candidate.command(_all_images(plan), options, plan.out)
    script = str(plan.commands / script)
    argv += ["--model_dump", str(plan.out / MODEL)]
    command = importlib.import_module(Path(script).stem)
    own = command.build_parser().parse_args(argv)
    own.command_line = shlex.join(["python", script, *argv])
    import_backend(partial(host_options.start_devices, own))
    record = read_record(record_path(plan.out / MODEL))
    before = record.get("options", {}).get("command_line")
    if before == own.command_line and "final" in record and (plan.out / MODEL).exists():
        logger.info("The winner has been trained before")
        return
    if before not in (None, own.command_line):
        logger.warning("The test images have been used before, for another winner")
        for path in plan.out.glob("snapshot.h5*"):
            path.unlink()
    accuracy = 100 * best.accuracies[-1]
    results.info("Winner, %.1f %% of the held-out images: %s", accuracy, best.candidate.title)
    logger.info("Training it on all training images: about %.1f min", _minutes(plan, best))
    command.learn(own)
    for path in plan.out.glob("snapshot.h5*"):
        path.unlink()


def _minutes(plan: Plan, best: Trial) -> float:
    """Return about how long the winner trains on all training images."""
    every, some = (
        sum(len(files) for _, _, files in os.walk(folder / "train"))
        for folder in (_all_images(plan), plan.parts[0])
    )
    return best.seconds / 60 / len(plan.parts) * every / some


def _export(plan: Plan) -> None:
    """Write ``model.onnx``."""
    options = ["--model", plan.out / MODEL, "--format", "onnx", "--out", plan.out / "model.onnx"]
    parser = export_model.build_parser()
    export_model.export_model(parser.parse_args([*map(str, options), "--overwrite"]))


def _report(
    args: argparse.Namespace, plan: Plan, trials: Sequence[Trial], best: Trial, parts: Parts
) -> None:
    """Write ``report.html``."""
    from reporting.page import Page, Search, write_page

    run = read_run(plan.out)
    name = Path(os.path.realpath(args.photos)).name
    counts = [len(parts.of(*of)) for of in ((TRAIN, *parts.folds), (TEST,), (LEFT_OUT,))]
    facts = [
        "{} images to train on, {} to test on, {} left out.".format(*counts),
        f"The best of {len(trials)} trials: {best.candidate.title}.",
    ]
    again = _trial_command(plan, best)
    commands = [
        ("Everything; the same command goes on where it was", args.command_line),
        ("The winner's trial", again),
        ("The winner on all training images", run.command),
        (
            "Classify other images",
            shlex.join(["python", "predict.py", "--model", str(plan.out / MODEL), "IMAGES/"]),
        ),
    ]
    page = Page(
        f"{name}: {len(set(m.label for m in parts.members))} classes",
        [run],
        commands,
        facts,
        Search([t.row for t in trials], [t.accuracies for t in trials], trials.index(best)),
        {run.history: report.predictions(run)},
    )
    write_page(plan.out / "report.html", page, vars(args))
    results.info("%s", plan.out / "report.html")


def _trial_command(plan: Plan, trial: Trial) -> str:
    candidate, run = trial.candidate, plan.runs(trial.candidate)[0]
    script, *argv = candidate.command(plan.parts[0], plan.options, run)
    return shlex.join(["python", str(plan.commands / script), *argv])


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return console.run(build_parser(), learn_folder, argv, backend=False)


if __name__ == "__main__":
    console.end_process(main)
