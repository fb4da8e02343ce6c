"""The search space: candidates, their commands, and distributions for Optuna."""

import importlib
from pathlib import Path

import pytest

from sweeping.grid import LOSSES
from sweeping.search.space import (
    AUGMENTATIONS,
    LEARNING_RATES,
    OBJECTIVES,
    WEIGHT_DECAYS,
    Candidate,
    distributions,
    first_candidates,
)

DRAWN = {
    "objective": "cosine+xent",
    "learning_rate": 0.012345,
    "weight_decay": 3.14159e-05,
    "size": 64,
    "augmentation": "plain",
    "ema": 0.99,
}


def test_rates_have_three_digits_and_name_the_folder():
    candidate = Candidate.of(DRAWN)
    assert (candidate.learning_rate, candidate.weight_decay) == (0.0123, 3.14e-05)
    assert candidate.name == "cosine+xent_lr0.0123_wd3.14e-05_64px_plain_ema0.99"
    assert Candidate.of(candidate.config) == candidate


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
def test_commands_are_accepted_and_contain_the_candidate(objective, augmentation):
    candidate = Candidate.of(DRAWN | {"objective": objective, "augmentation": augmentation})
    options = ("--architecture", "simple", "--epochs", "7")
    script, *argv = candidate.command(Path("data"), options, Path("out"))
    assert script == LOSSES[objective].command
    args = importlib.import_module(script.removesuffix(".py")).build_parser().parse_args(argv)
    assert (args.dataset, args.data_root, args.epochs) == ("Folder", Path("data"), 7)
    assert (args.lr_schedule, args.cosine_max_lr) == ("Cosine", 0.0123)
    # The square has 7/8 of the shorter side.
    assert (args.weight_decay, args.crop_size, args.target_size) == (3.14e-05, 64, 73)
    assert (args.history, args.snapshot) == (Path("out/history.csv"), Path("out/snapshot.h5"))
    assert args.ema == 0.99
    assert getattr(args, "cls_weight", 0) == (0.1 if objective == "cosine+xent" else 0)
    assert getattr(args, "label_smoothing", 0) == (0.1 if objective == "xent+ls" else 0)


def test_a_search_begins_with_both_kinds_of_objective_in_the_middle_size():
    first = first_candidates((32, 64, 128))
    assert [c.objective for c in first] == ["cosine+xent", "xent"]
    assert {c.size for c in first} == {64}


def test_search_space():
    pytest.importorskip("optuna", reason="Optuna is not installed (requirements-sweep.txt)")
    found = distributions((32, 64))
    assert found.keys() == DRAWN.keys()
    assert found["objective"].choices == OBJECTIVES and found["size"].choices == (32, 64)
    for name, limits in (("learning_rate", LEARNING_RATES), ("weight_decay", WEIGHT_DECAYS)):
        assert (found[name].low, found[name].high, found[name].log) == (*limits, True)
    for candidate in first_candidates((32, 64)):
        for name, value in candidate.config.items():
            assert found[name]._contains(found[name].to_internal_repr(value))
