"""Schedules besides SGDR."""

import csv
import math

import keras
import pytest

import learn_classifier
from tests.commands.running import TINY, succeed
from training.learning_rates import parse_step_schedule, resnet_learning_rate
from training.options import ScheduleOptions
from training.schedules import build_schedule
from training.step_rates import Steps, TriangularCycles
from utils import UsageError


def test_resnet_schedule_changes_at_the_published_epochs():
    rates = {1: 0.01, 2: 0.1, 80: 0.1, 81: 0.01, 120: 0.01, 121: 0.001, 164: 0.001}
    assert {n: resnet_learning_rate(n - 1) for n in rates} == rates


def test_clr_is_a_triangle():
    schedule = TriangularCycles(Steps(8, 4), passes=1, min_lr=1.0, max_lr=5.0)
    rates = [float(schedule(i)) for i in range(17)]
    assert rates == pytest.approx([1, 2, 3, 4, 5, 4, 3, 2, 1, 2, 3, 4, 5, 4, 3, 2, 1])


def test_step_schedule_counts_epochs_from_one():
    schedule = parse_step_schedule("1:0.1,31:0.01,41:0.001,50")
    assert schedule.epochs == 50
    rates = {1: 0.1, 30: 0.1, 31: 0.01, 40: 0.01, 41: 0.001, 50: 0.001}
    assert {n: schedule.learning_rate(n - 1) for n in rates} == rates


def test_a_step_schedule_without_a_total_ends_with_its_last_pair():
    schedule = build_schedule(ScheduleOptions(lr_schedule="SGD", sgd_schedule="1:0.1,3:0.01"))
    assert (schedule.epochs, schedule.initial_lr) == (3, 0.1)
    assert rates_of(schedule) == [0.1, 0.1, 0.01]


def test_a_step_schedule_that_starts_late_has_the_rate_of_sgd_before():
    options = ScheduleOptions(lr_schedule="SGD", sgd_schedule="3:0.01,4:0.001,5", sgd_lr=0.25)
    schedule = build_schedule(options)
    assert (schedule.epochs, schedule.initial_lr) == (5, 0.25)
    assert rates_of(schedule) == [0.25, 0.25, 0.01, 0.001, 0.001]


def rates_of(schedule):
    return [schedule.callback.schedule(epoch, 0.5) for epoch in range(schedule.epochs)]


@pytest.mark.parametrize(
    "text",
    ["", "0", "50", "0:0.1", "0:0.1,50", "1:0.1,1:0.2,50", "1:0.1,60:0.2,50", "1:x,50", "1:-1,50",
     "1:nan,50", "1:0.1:2,50", "1:0.1,,50", "1:0.1,", "31:0.1,1:0.2,50", "31:0.1,1:0.2"],
)  # fmt: skip
def test_malformed_step_schedules_are_refused(text):
    with pytest.raises(UsageError, match="expected ascending EPOCH:RATE pairs"):
        parse_step_schedule(text)


@pytest.mark.parametrize(
    ("name", "epochs", "initial"),
    [
        *[
            ("SGDR", 372, 0.1),
            ("SGD", 200, 0.1),
            ("CLR", 240, 1e-5),
            ("ResNet-Schedule", 164, 0.01),
        ],
        *[("Cosine", 100, 0.1), ("Step", 100, 0.1)],
    ],
)
def test_published_lengths(name, epochs, initial):
    schedule = build_schedule(ScheduleOptions(lr_schedule=name))
    assert (schedule.epochs, schedule.initial_lr) == (epochs, initial)
    assert build_schedule(ScheduleOptions(lr_schedule=name, epochs=3)).epochs == 3


@pytest.mark.parametrize(("step_len", "epochs"), [(1, 20), (3, 60)])
def test_clr_has_ten_cycles(step_len, epochs):
    options = ScheduleOptions(lr_schedule="CLR", clr_step_len=step_len)
    assert build_schedule(options).epochs == epochs


@pytest.mark.parametrize(
    ("steps", "half_cycle"),
    [
        (Steps(per_epoch=8, per_pass=3), 6),  # repeated data, a last batch that is not full
        (Steps(per_epoch=1, per_pass=0), 2),  # fewer images than a batch has
        (Steps(per_epoch=8, per_pass=3, began=1), 6),
    ],
)
def test_clr_counts_whole_batches_of_images_without_repetitions(steps, half_cycle):
    options = ScheduleOptions("CLR", clr_step_len=2, clr_min_lr=1.0, clr_max_lr=2.0)
    triangle = [*range(half_cycle), *range(half_cycle, 0, -1)] * 9
    wanted = [1 + step / half_cycle for step in triangle][: 3 * steps.per_epoch]
    assert rates_of_steps(options, steps) == pytest.approx(wanted)


@pytest.mark.parametrize("began", [0, 2])
def test_cosine_is_half_a_wave_over_all_steps(began):
    options = ScheduleOptions("Cosine", epochs=3, cosine_max_lr=2.0, cosine_min_lr=0.5)
    found = rates_of_steps(options, Steps(per_epoch=4, per_pass=4, began=began))
    wanted = [0.5 + 1.5 * (1 + math.cos(math.pi * step / 12)) / 2 for step in range(12)]
    assert found == pytest.approx(wanted)


def test_a_warm_up_rises_to_the_highest_rate_before_the_wave():
    options = ScheduleOptions("Cosine", epochs=3, cosine_max_lr=2.0, cosine_warmup=1)
    found = rates_of_steps(options, Steps(per_epoch=4, per_pass=4))
    assert found[:4] == pytest.approx([0.5, 1, 1.5, 2])
    wave = [1 + math.cos(math.pi * step / 8) for step in range(8)]
    assert found[4:] == pytest.approx(wave)


def test_a_warm_up_leaves_epochs_for_the_wave():
    options = ScheduleOptions("Cosine", epochs=3, cosine_warmup=3)
    with pytest.raises(UsageError, match="--cosine_warmup 3: give fewer than all 3 epochs"):
        build_schedule(options)


@pytest.mark.parametrize("began", [0, 1])
def test_schedules_count_steps_not_batches(began):
    """5 batches in an epoch, 2 in a step: 7 steps in three epochs, of which the third is shared."""
    options = ScheduleOptions("Cosine", epochs=3, cosine_max_lr=2.0)
    found = rates_of_steps(options, Steps(per_epoch=5, per_pass=5, began=began, accumulate=2))
    wanted = [1 + math.cos(math.pi * (batch // 2) / 7) for batch in range(15)]
    assert found == pytest.approx(wanted, rel=1e-6, abs=1e-7)
    options = ScheduleOptions("CLR", clr_step_len=2, clr_min_lr=1.0, clr_max_lr=2.0)
    found = rates_of_steps(options, Steps(per_epoch=5, per_pass=5, began=began, accumulate=2))
    triangle = [0, 1, 2, 3, 4, 3, 2, 1]  # half a cycle: 2 epochs of 2 whole steps
    assert found == pytest.approx([1 + triangle[batch // 2] / 4 for batch in range(15)])


def test_step_decay():
    options = ScheduleOptions("Step", epochs=7, step_lr=0.8, step_len=3, step_factor=0.5)
    assert rates_of(build_schedule(options)) == pytest.approx([0.8] * 3 + [0.4] * 3 + [0.2])


def test_the_highest_rate_of_a_cosine_may_be_0():
    options = ScheduleOptions("Cosine", epochs=3, cosine_max_lr=0.0, cosine_warmup=1)
    assert rates_of_steps(options, Steps(per_epoch=2, per_pass=2)) == [0] * 6


def rates_of_steps(options, steps):
    """Return the rates of three epochs; an optimizer counts the batches of those not done."""
    rates = build_schedule(options).step_rates(steps)
    accumulate = steps.accumulate if steps.accumulate > 1 else None
    optimizer = keras.optimizers.SGD(rates, gradient_accumulation_steps=accumulate)
    variable = keras.Variable([0.0])
    found = [float(rates(batch)) for batch in range(-steps.began * steps.per_epoch, 0)]
    for _ in range((3 - steps.began) * steps.per_epoch):
        found.append(float(optimizer.learning_rate))
        optimizer.apply([keras.ops.ones((1,))], [variable])
    begins = [rates.of_epoch(epoch) for epoch in range(3)]
    assert begins == found[:: steps.per_epoch]
    return found


def test_clr_of_a_repeated_subset(tmp_path):
    """50 images in batches of 20: two whole ones, nine steps in three passes."""
    options = "--epochs 2 --lr_schedule CLR --clr_step_len 3 --clr_min_lr 0 --clr_max_lr 0.1"
    history = tmp_path / "h.csv"
    succeed(learn_classifier, f"{TINY} --repeats 3 {options} --history {history}")
    with open(history, newline="") as file:
        rates = [float(row["lr"]) for row in csv.DictReader(file)]
    # Half a cycle has 3 x 2 steps; after 9 steps half of the way down is done.
    assert rates == pytest.approx([0, 0.05])


def test_sgd_waits_for_the_validation_loss_as_published():
    plateau = build_schedule(ScheduleOptions(lr_schedule="SGD")).callback
    found = plateau.monitor, plateau.factor, plateau.patience, plateau.min_lr, plateau.min_delta
    assert found == ("val_loss", 0.1, 10, 1e-4, 1e-4)
