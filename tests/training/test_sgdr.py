"""The SGDR curve against a table computed another way."""

import keras
import numpy as np
import pytest

from sgdr import SGDR, ends_cycle, sgdr_epochs, sgdr_learning_rate


def table(max_lr=0.1, min_lr=1e-6, lengths=(12, 24, 48, 96, 192)):
    """All cycles as one array: max first, then the half cosine sampled at 2/T, 3/T, …, T/T."""
    cycles = []
    for length in lengths:
        phase = np.arange(2, length + 1) / length
        falling = min_lr + (max_lr - min_lr) * np.cos(np.pi * phase / 2) ** 2
        cycles.append(np.r_[max_lr, falling])
    return np.concatenate(cycles)


@pytest.mark.parametrize("max_lr", [2.5, 0.1, 0.001])
def test_every_epoch_of_the_published_schedule(max_lr):
    expected = table(max_lr)
    assert len(expected) == sgdr_epochs() == 372
    actual = [sgdr_learning_rate(epoch, max_lr) for epoch in range(372)]
    np.testing.assert_allclose(actual, expected, rtol=1e-12)


def test_cycles_start_at_the_maximum_and_end_at_the_minimum():
    for first, last in [(0, 11), (12, 35), (36, 83), (84, 179), (180, 371)]:
        assert sgdr_learning_rate(first) == 0.1
        assert sgdr_learning_rate(last) == pytest.approx(1e-6)


def test_the_last_epoch_of_each_cycle_is_known():
    assert [e for e in range(372) if ends_cycle(e)] == [11, 35, 83, 179, 371]
    assert [e for e in range(65) if ends_cycle(e, base_len=5, mul=3)] == [4, 19, 64]


def test_lengths_follow_base_and_factor():
    assert sgdr_epochs(10, 1) == 50
    assert sgdr_epochs(3, 3) == 3 + 9 + 27 + 81 + 243
    expected = table(lengths=(5, 15, 45))
    actual = [sgdr_learning_rate(e, base_len=5, mul=3) for e in range(65)]
    np.testing.assert_allclose(actual, expected, rtol=1e-12)


def test_a_cycle_of_one_epoch_runs_at_the_maximum():
    assert [sgdr_learning_rate(e, 0.5, base_len=1, mul=1) for e in range(3)] == [0.5] * 3


def test_the_callback_sets_the_optimizer():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.SGD(7.0), loss="mse")
    callback = SGDR(0.5, base_len=4)
    callback.set_model(model)
    seen = []
    for epoch in range(6):
        callback.on_epoch_begin(epoch)
        seen.append(float(keras.ops.convert_to_numpy(model.optimizer.learning_rate)))
    np.testing.assert_allclose(seen, table(0.5, lengths=(4, 8))[:6], rtol=1e-6)
