"""Early stopping: the last epoch and the weights that are kept."""

from contextlib import contextmanager, nullcontext

import keras
import numpy as np
import pytest

from training.callbacks.early_stopping import EarlyStopping
from training.callbacks.epoch_log import EpochReporter


def network() -> keras.Model:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    return model


def run(accuracies, patience, records=(), weights=lambda model: nullcontext):
    """Epochs with these validation accuracies; the weight of epoch e, from 1, is e."""
    model = network()
    reporter = EpochReporter(99, list(records))
    stopping = EarlyStopping(model, reporter, patience, weights(model))
    for callback in (reporter, stopping):
        callback.set_model(model)
    model.stop_training = False
    for epoch, accuracy in enumerate(accuracies, start=len(records)):
        model.set_weights([np.full((1, 1), epoch + 1.0)])
        reporter.on_epoch_begin(epoch)
        logs = {"loss": 1.0, "acc": 1 - epoch / 100}
        logs |= {} if accuracy is None else {"val_loss": 2.0, "val_acc": accuracy}
        for callback in (reporter, stopping):
            callback.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    with stopping.in_place():
        best = float(model.get_weights()[0][0, 0])
    return epoch + 1, best, stopping


NAN = float("nan")


@pytest.mark.parametrize(
    ("accuracies", "patience", "last", "best"),
    [
        ([0.1, 0.3, 0.2, 0.3, 0.4, 0.5], 2, 4, 2),  # as good is not better
        ([0.1, 0.3, 0.2, 0.4, 0.1, 0.1], 2, 6, 4),
        ([0.5, 0.1, 0.1], 1, 2, 1),
        ([0.1, 0.2, 0.3], 3, 3, 3),
        ([0.2, None, 0.1, None, 0.1, 0.9], 3, 5, 1),  # only epochs that are evaluated end it
        ([None, 0.2, None, 0.4], 3, 4, 4),
        ([0.2, NAN, NAN, NAN], 2, 3, 1),
        ([NAN, NAN, NAN], 2, 2, 2),  # nothing to keep: the last weights
    ],
)
def test_the_end_and_the_best_epoch(accuracies, patience, last, best):
    found = run(accuracies, patience)
    assert found[:2] == (last, best)
    assert found[2].over == (last < len(accuracies) or last - best >= patience)


def test_the_records_of_a_resumed_run_count():
    records = run([0.1, 0.3, 0.2], 3)[2].reporter.records
    last, _, stopping = run([0.2, 0.3, 0.9], 3, records)
    assert last == 5 and stopping.over


def test_the_weights_that_are_evaluated_are_kept():
    def averaged(model):
        @contextmanager
        def halved():
            weights = model.get_weights()
            model.set_weights([weight / 2 for weight in weights])
            yield
            model.set_weights(weights)

        return halved

    assert run([0.1, 0.3, 0.2], 2, weights=averaged)[1] == 1.0
