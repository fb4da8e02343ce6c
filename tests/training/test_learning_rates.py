"""Schedules besides SGDR."""

import pytest

from training.learning_rates import (
    clr_learning_rate,
    parse_step_schedule,
    resnet_learning_rate,
)
from training.options import ScheduleOptions
from training.schedules import build_schedule
from utils import UsageError


def test_resnet_schedule_changes_at_the_published_epochs():
    rates = {1: 0.01, 2: 0.1, 80: 0.1, 81: 0.01, 120: 0.01, 121: 0.001, 164: 0.001}
    assert {n: resnet_learning_rate(n - 1) for n in rates} == rates


def test_clr_is_a_triangle():
    rates = [clr_learning_rate(i, half_cycle=4, min_lr=1.0, max_lr=5.0) for i in range(17)]
    assert rates == pytest.approx([1, 2, 3, 4, 5, 4, 3, 2, 1, 2, 3, 4, 5, 4, 3, 2, 1])


def test_step_schedule_counts_epochs_from_one():
    schedule = parse_step_schedule("1:0.1,31:0.01,41:0.001,50")
    assert schedule.epochs == 50
    rates = {1: 0.1, 30: 0.1, 31: 0.01, 40: 0.01, 41: 0.001, 50: 0.001}
    assert {n: schedule.learning_rate(n - 1) for n in rates} == rates


@pytest.mark.parametrize(
    "text",
    ["", "0", "50", "1:0.1", "2:0.1,50", "1:0.1,1:0.2,50", "1:0.1,60:0.2,50", "1:x,50", "1:-1,50",
     "1:nan,50", "1:0.1:2,50", "1:0.1,,50", "31:0.1,1:0.2,50"],
)  # fmt: skip
def test_malformed_step_schedules_are_refused(text):
    with pytest.raises(UsageError, match="expected ascending EPOCH:RATE pairs"):
        parse_step_schedule(text)


@pytest.mark.parametrize(
    ("name", "epochs", "initial"),
    [("SGDR", 372, 0.1), ("SGD", 200, 0.1), ("CLR", 240, 1e-5), ("ResNet-Schedule", 164, 0.01)],
)
def test_published_lengths(name, epochs, initial):
    schedule = build_schedule(ScheduleOptions(lr_schedule=name))
    assert (schedule.epochs, schedule.initial_lr) == (epochs, initial)
    assert build_schedule(ScheduleOptions(lr_schedule=name, epochs=3)).epochs == 3


def test_sgd_waits_for_the_validation_loss_as_published():
    plateau = build_schedule(ScheduleOptions(lr_schedule="SGD")).callback(10, 0)
    found = plateau.monitor, plateau.factor, plateau.patience, plateau.min_lr, plateau.min_delta
    assert found == ("val_loss", 0.1, 10, 1e-4, 1e-4)
