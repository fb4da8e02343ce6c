"""Lines and CSV of the epochs."""

import contextlib
import logging
import math

import keras
import pytest

import learn_classifier
from storage.history import accuracy_name
from tests.commands.running import TINY, history, run
from training.callbacks import epoch_log
from training.callbacks.epoch_log import (
    EpochReporter,
    best_epoch,
    check_history,
    format_metrics,
)
from utils import UsageError, UserError


@pytest.mark.parametrize(
    ("metrics", "text"),
    [
        ({"val_acc": 5e-05}, "val_acc: 0.0001"),
        ({"val_acc": 4e-05}, "val_acc: 0.0000"),
        ({"loss": 123456.78901}, "loss: 123456.7890"),
        ({"acc": 1.0, "acc5": 2 / 3}, "acc: 1.0000 - acc5: 0.6667"),
        ({"lr": 1e-06}, "lr: 1e-06"),
        ({"lr": 0.093301333}, "lr: 0.0933013"),
        ({"loss": math.nan, "val_loss": math.inf}, "loss: nan - val_loss: inf"),
        ({}, ""),
    ],
)
def test_metrics_have_four_decimals_and_no_exponent(metrics, text):
    assert format_metrics(metrics) == text


def records(name, *values):
    """One record for each value; None was not measured."""
    found = [{"epoch": i, name: value} for i, value in enumerate(values, start=1)]
    return [{k: v for k, v in record.items() if v is not None} for record in found]


@pytest.mark.parametrize(
    ("values", "best"),
    [
        ((0.1, 0.3, 0.2), 2),
        ((0.1, 0.3, 0.3), 2),
        ((math.nan, 0.3, math.nan), 2),
        ((0.2, math.nan), 1),
        ((math.inf, 0.3), 2),
        ((None, 0.2, None, 0.3, None), 4),
        ((0.0,), 1),
    ],
)
def test_the_best_epoch_is_the_first_with_the_highest_accuracy(values, best):
    assert best_epoch(records("val_acc", *values))["epoch"] == best


def test_the_classifier_judges_an_epoch_if_there_is_one():
    rows = [
        {"epoch": 1, "val_l2norm_acc": 0.9, "val_prob_acc": 0.1},
        {"epoch": 2, "val_l2norm_acc": 0.1, "val_prob_acc": 0.2},
    ]
    assert accuracy_name(rows[0]) == "val_prob_acc"
    assert best_epoch(rows)["epoch"] == 2


def test_without_an_accuracy_there_is_no_best_epoch():
    assert best_epoch([]) is None
    assert best_epoch(records("val_loss", 1.0)) is None


def reporter_with_model(**arguments):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.SGD(0.25), loss="mse")
    reporter = EpochReporter(3, **arguments)
    reporter.set_model(model)
    return reporter


LOGS = {
    "val_prob_acc": 0.5,
    "prob_acc": 0.25,
    "val_loss": 3.0,
    "l2norm_loss": 1 / 3,
    "loss": 2.0,
    "val_l2norm_loss": 1.0,
}


def test_metrics_are_ordered_and_the_rate_is_that_of_the_epoch(tmp_path, caplog):
    path = tmp_path / "h.csv"
    reporter = reporter_with_model(history=path)
    reporter.on_epoch_begin(0)
    # A schedule that reacts to the epoch must not change what the epoch is said to have had.
    reporter.model.optimizer.learning_rate = 0.01
    logger = logging.getLogger("results")
    logger.addHandler(caplog.handler)
    try:
        with caplog.at_level(logging.INFO, logger="results"):
            reporter.on_epoch_end(0, LOGS | {"learning_rate": 0.01})
    finally:
        logger.removeHandler(caplog.handler)
    names = ["lr", "loss", "l2norm_loss", "prob_acc"]
    names += ["val_loss", "val_l2norm_loss", "val_prob_acc"]
    assert list(reporter.records[0]) == ["epoch", *names]
    assert reporter.records[0]["lr"] == 0.25
    assert reporter.records[0]["l2norm_loss"] == 0.3333333
    assert caplog.messages[-1] == (
        "Epoch 1/3 - lr: 0.25 - loss: 2.0000 - l2norm_loss: 0.3333 - prob_acc: 0.2500 - "
        "val_loss: 3.0000 - val_l2norm_loss: 1.0000 - val_prob_acc: 0.5000"
    )
    assert path.read_text().splitlines()[0] == ",".join(["epoch", *names])
    assert history(path) == reporter.records


def test_the_csv_holds_earlier_epochs_too(tmp_path):
    path = tmp_path / "h.csv"
    earlier = [{"epoch": 1, "lr": 0.5, "loss": 9.0}]
    reporter = reporter_with_model(records=earlier, history=path)
    reporter.on_epoch_begin(1)
    reporter.on_epoch_end(1, {"loss": 8.0})
    assert history(path) == [*earlier, {"epoch": 2, "lr": 0.25, "loss": 8.0}]
    assert len(earlier) == 1


@pytest.mark.parametrize(
    ("content", "fits"),
    [
        ("epoch,loss\n1,0.5\n2,nan\n", True),
        ("epoch,loss\n1,0.5\n", True),
        ("epoch,loss\n1,0.5\n2,nan\n3,nan\n", True),
        ("", True),
        ("epoch,loss\n1,0.5\n2,0.4\n", False),
        ("epoch,loss\n1,nan\n", False),
        ("epoch,loss\n1,low\n", False),
        ("epoch,lr\n1,0.5\n", False),
    ],
)
def test_histories_are_identified_by_their_losses(tmp_path, content, fits):
    path = tmp_path / "h.csv"
    path.write_text(content)
    with contextlib.nullcontext() if fits else pytest.raises(UsageError, match="not the history"):
        check_history(path, [{"loss": 0.5}, {"loss": math.nan}])


def test_an_unwritable_csv_is_reported_and_retried(tmp_path):
    folder = tmp_path / "later"
    reporter = reporter_with_model(history=folder / "h.csv")
    reporter.on_epoch_begin(0)
    reporter.on_epoch_end(0, {"loss": 2.0})
    assert isinstance(reporter.error, UserError) and str(folder) in str(reporter.error)
    folder.mkdir()
    reporter.on_epoch_begin(1)
    reporter.on_epoch_end(1, {"loss": 1.0})
    assert reporter.error is None
    assert [row["loss"] for row in history(folder / "h.csv")] == [2.0, 1.0]


def test_the_command_trains_to_the_end_and_exits_with_1(tmp_path, monkeypatch):
    def fail(path, records):
        raise UserError(f"cannot write {path}: disk full")

    monkeypatch.setattr(epoch_log, "write_history", fail)
    outcome = run(
        learn_classifier,
        f"{TINY} --epochs 2",
        *("--history", tmp_path / "h.csv", "--feature_dump", tmp_path / "f.npz"),
    )
    assert outcome.status == 1
    assert "Epoch 2/2" in outcome.out and "Average Accuracy" in outcome.out
    assert (tmp_path / "f.npz").exists()
    assert outcome.err.count("training goes on") == 2
    last = outcome.err.splitlines()[-1]
    assert last == f"learn_classifier.py: error: cannot write {tmp_path / 'h.csv'}: disk full"


def test_a_csv_written_on_a_retry_is_no_failure(tmp_path, monkeypatch):
    whole = epoch_log.write_history

    def fail_first(path, records):
        if len(records) == 1:
            raise UserError("disk full")
        whole(path, records)

    monkeypatch.setattr(epoch_log, "write_history", fail_first)
    path = tmp_path / "h.csv"
    outcome = run(learn_classifier, f"{TINY} --epochs 2 --history", path)
    assert outcome.status == 0 and "disk full" in outcome.err
    assert [row["epoch"] for row in history(path)] == [1, 2]
