"""Studies beyond the paper: trials of each loss, accepted by the commands."""

import importlib
import shlex
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from studies.choice import chosen_rate, outcome
from studies.reports.accuracies import table
from studies.results import Run, runs_of
from studies.running import Request, _commands
from studies.study import Part, Search, load
from sweeping.engine import shared_settings
from sweeping.grid import PROTOCOLS, VALIDATION, Trial

RECIPES = [
    pytest.param(part, id=f"{name}-{part.folder}")
    for name in ("vipriors", "baselines")
    for parts in (load(name).paper, load(name).reduced)
    for part in {part.folder: part for part in parts}.values()
]


def commands(part):
    return _commands(part, Request(Path("out"), data_roots={"": "data"}))


def parsed(command):
    script, *arguments = command
    parser = importlib.import_module(Path(script).stem).build_parser()
    return vars(parser.parse_args(arguments))


@pytest.mark.parametrize("part", RECIPES)
def test_commands_know_all_options(part):
    first = {trial.point.loss: trial for trial in part.first_trials()}
    final = [part.repeated(cell, part.rates_of(cell[1])[0])[0] for cell in part.cells()]
    for trial in (*first.values(), *final):
        options = parsed(commands(part).of(trial, Path("trial")))
        often = trial.protocol == VALIDATION and part.search.averaged > 1
        # Test images are used once, after the last epoch.
        assert options["val_every"] == (1 if often else options["epochs"])


def test_the_talk_and_the_challenge_share_their_runs():
    study = load("vipriors")
    names = {(part.folder, trial.name) for part in study.paper for trial in part.first_trials()}
    reported = [value for part in study.paper for value in part.published_accuracies.values()]

    assert len(names) == 11
    assert sorted(reported)[:3] == [26.39, 28.168, 28.212] and len(reported) == 13


@pytest.mark.parametrize(
    ("name", "count", "batches"),
    [
        ("CUB", 100, {8, 16, 32}),
        ("CIFAR-10", 250, {10, 25, 50}),
        ("EuroSAT", 250, {10, 25, 50}),
        ("ISIC", 100, {8, 16, 32}),
        ("CLaMM", 100, {8, 16, 32}),
    ],
)
def test_the_published_search(name, count, batches):
    parts = [p for p in load("baselines").paper if p.datasets[0].startswith(f"GEM-{name}_")]

    assert len(parts) == 3 * 3  # splits and variants
    assert len({tuple(part.extra.items()) for part in parts}) == 1  # the same for all
    tried = {rate: options for rate, options in parts[0].extra.items() if rate != VALIDATION}
    assert len(tried) == count and set(tried) == set(parts[0].rates_of("cosine"))
    options = [dict(zip(o[::2], o[1::2], strict=True)) for o in map(shlex.split, tried.values())]
    decays = [float(o["--weight_decay"]) for o in options]
    for values, low in ((list(tried), -4), (decays, -5)):
        exponents = np.sort(np.log10(values))
        uniform = low + (-1 - low) * (np.arange(count) + 0.5) / count
        # Kolmogorov-Smirnov at one percent: 1.63 / sqrt(n) of the range.
        assert np.abs(exponents - uniform).max() < 1.63 / np.sqrt(count) * (-1 - low)
    sizes = Counter(int(o["--batch_size"]) for o in options)
    assert set(sizes) == batches and min(sizes.values()) > 0.2 * count


def test_a_small_search_has_as_many_trials_for_every_loss_and_variant():
    parts = load("baselines").reduced
    counts = Counter(
        (part.folder, trial.point.loss) for part in parts for trial in part.first_trials()
    )

    assert set(counts.values()) == {4} and len(counts) == 3 * 3
    assert all(part.seeds == (0, 1, 2) and part.search.protocols == (VALIDATION,) for part in parts)


PART = Part(
    "validation images of its own",
    ("GEM-CUB_trainval1",),
    ("xent",),
    (0.1, 0.02),
    "--epochs 3",
    seeds=(0, 1),
    search=Search((VALIDATION,), dataset="GEM-CUB_train1"),
    extra={0.1: "--weight_decay 0.5", 0.02: "--weight_decay 0.25"},
)


def test_options_follow_the_rate_wherever_it_is_trained():
    build = commands(PART)
    trials = [*PART.first_trials(), *PART.repeated(("GEM-CUB_trainval1", "xent"), 0.02)]
    found = [parsed(build.of(trial, Path("trial"))) for trial in trials]

    assert [(o["dataset"], o["sgdr_max_lr"], o["weight_decay"], o["seed"]) for o in found] == [
        ("GEM-CUB_train1", 0.1, 0.5, 0),
        ("GEM-CUB_train1", 0.02, 0.25, 0),
        ("GEM-CUB_trainval1", 0.02, 0.25, 0),
        ("GEM-CUB_trainval1", 0.02, 0.25, 1),
    ]
    assert {o["val_fraction"] for o in found} == {None}
    assert PART.trained() == {(trial.point.dataset, "xent") for trial in trials}


def test_options_of_the_search_are_not_those_of_the_final_runs():
    search = {VALIDATION: "--val_every 1"}
    part = replace(PART, options="--epochs 3 --val_every 3", extra=PART.extra | search)
    build = commands(part)
    trials = [*part.first_trials(), *part.repeated(("GEM-CUB_trainval1", "xent"), 0.02)]
    found = [parsed(build.of(trial, Path("trial"))) for trial in trials]

    assert [o["val_every"] for o in found] == [1, 1, 3, 3]
    settings = shared_settings(part.first_trials(), build, "study.py")
    plain = shared_settings(
        PART.first_trials(), commands(replace(part, extra=PART.extra)), "study.py"
    )
    assert settings == plain | {"further options: validation": "--val_every 1"}


def test_the_mean_of_the_last_evaluations_decides():
    curves = {0.1: (0.1, None, 0.6, 0.5, 0.4), 0.02: (0.9, None, 0.3, 0.3, 0.45)}
    trials = PART.first_trials()
    runs = {
        trial.name: Run(
            *("", trial.name, "finished", 1, "x --epochs 3 -", None, {}, 0, 5),
            last=curves[trial.point.learning_rate][-1],
            judged_curve=curves[trial.point.learning_rate],
        )
        for trial in trials
    }
    cell = PART.cells()[0]
    parts = [replace(PART, search=replace(PART.search, averaged=n)) for n in (1, 2, 3, 4, 5)]
    chosen = [chosen_rate(part, cell, VALIDATION, runs) for part in parts]
    # 0.45, 0.375, 0.35, 0.4875 and 0.4875 against 0.4, 0.45, 0.5, 0.4 and 0.4.
    assert chosen == [0.02, 0.1, 0.1, 0.02, 0.02]


def test_a_folder_has_one_kind_of_options_by_rate():
    first, second = (shared_settings(trials, commands(PART), "study.py") for trials in _halves())

    assert first == second
    assert (
        first["further options: 0.02"] == "--weight_decay 0.25" and first["--weight_decay"] == "0.0"
    )


def test_a_loss_has_options_of_its_own_which_its_folder_keeps():
    part = replace(PART, losses=("xent", "cosine"), extra={"cosine": "--embedding_scale 2"})
    build = commands(part)
    found = [parsed(build.of(trial, Path("trial"))) for trial in part.first_trials()]

    assert [o.get("embedding_scale") for o in found] == [None, None, 2.0, 2.0]
    settings = shared_settings(part.first_trials(), build, "study.py")
    assert settings["further options: cosine"] == "--embedding_scale 2"
    assert settings["--embedding_scale"] == "None"


def test_a_data_set_has_options_of_its_own_which_its_folder_keeps():
    sizes = ("Digits-sub2", "Digits-sub5")
    part = replace(
        PART, datasets=sizes, search=Search((VALIDATION,)), extra={sizes[0]: "--repeats 3"}
    )
    build = commands(part)
    found = {t.point.dataset: parsed(build.of(t, Path("trial"))) for t in part.first_trials()}

    assert {name: options["repeats"] for name, options in found.items()} == {
        "Digits-sub2": 3,
        "Digits-sub5": None,
    }
    settings = shared_settings(part.first_trials(), build, "study.py")
    assert (
        settings["further options: Digits-sub2"] == "--repeats 3"
        and settings["--repeats"] == "None"
    )


@pytest.mark.parametrize(
    ("option", "value"), [("class_weights", "balanced"), ("background", "CUB")]
)
def test_a_folder_keeps_class_weights_and_background(option, value):
    options = f"{PART.options} --{option} {value}"
    loss = {"class_weights": "xent", "background": "dsc_open"}[option]
    part = replace(PART, losses=(loss,), options=options)
    settings = shared_settings(part.first_trials(), commands(part), "study.py")

    assert settings[f"--{option}"] == value


def _halves():
    trials = PART.first_trials()
    return trials[:1], trials[1:]


def test_the_rate_is_chosen_by_validation_images_and_reported_on_test_images():
    def run(trial: Trial, last: float, test: float) -> Run:
        options = f"{PART.options} {PART.extra[trial.point.learning_rate]}"
        command = f"python learn_classifier.py {options}"
        return Run("", trial.name, "finished", 1, command, None, {}, 0, 3, last=last, test=test)

    cell = ("GEM-CUB_trainval1", "xent")
    candidates = [
        run(t, last, 0.9) for t, last in zip(PART.first_trials(), (0.3, 0.4), strict=True)
    ]
    repeated = [
        run(t, 0.99, test) for t, test in zip(PART.repeated(cell, 0.02), (0.5, 0.6), strict=True)
    ]

    found = outcome(PART, cell, VALIDATION, runs_of([*candidates, *repeated], PART))
    assert (found.rate, found.values, found.tried) == (0.02, (0.5, 0.6), "2/2")


@pytest.mark.parametrize("part", load("baselines").reduced)
def test_single_evaluations_have_no_best_epoch(part):
    header = table(part, {})[0]

    assert "held-out" in header and "best epoch" not in header
    assert "best epoch" in table(replace(part, protocols=PROTOCOLS), {})[0]
