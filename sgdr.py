"""SGDR: stochastic gradient descent with warm restarts, with a constant learning rate per epoch.

Loshchilov & Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017; used for
all experiments in the paper (Section 5.1).
"""

import math
from functools import partial

import keras

CYCLES = 5


def sgdr_epochs(base_len: int = 12, mul: int = 2) -> int:
    """Return the total epochs of all cycles: 12 + 24 + 48 + 96 + 192 = 372 by default."""
    return sum(base_len * mul**cycle for cycle in range(CYCLES))


def ends_cycle(epoch: int, base_len: int = 12, mul: int = 2) -> bool:
    """Return whether an epoch, counted from 0, is the last of its cycle."""
    start, length = _cycle(epoch, base_len, mul)
    return epoch + 1 == start + length


def _cycle(epoch: int, base_len: int, mul: int) -> tuple[int, int]:
    """Return the first epoch and the length of the cycle that contains an epoch."""
    start, length = 0, base_len
    while epoch >= start + length:
        start += length
        length *= mul
    return start, length


def sgdr_learning_rate(
    epoch: int,
    max_lr: float = 0.1,
    base_len: int = 12,
    mul: int = 2,
    min_lr: float = 1e-6,
) -> float:
    """Return the learning rate of an epoch.

    The first epoch of a cycle uses ``max_lr``, the last one ``min_lr``. In between, epoch i of a
    cycle of T epochs evaluates the cosine at (i + 1) / T. The published experiments used this
    curve, which differs from ``keras.optimizers.schedules.CosineDecayRestarts``.

    Args:
        epoch: counted from 0.
        max_lr: learning rate at the start of each cycle.
        base_len: length of the first cycle in epochs, at least 1.
        mul: factor by which each cycle is longer than the previous one, at least 1.
        min_lr: learning rate at the end of each cycle.
    """
    start, length = _cycle(epoch, base_len, mul)
    epoch -= start
    if epoch == 0:
        return max_lr
    return min_lr + (max_lr - min_lr) / 2 * (1 + math.cos(math.pi * (epoch + 1) / length))


class SGDR(keras.callbacks.LearningRateScheduler):
    """Set the learning rate at the start of each epoch to ``sgdr_learning_rate``."""

    def __init__(self, max_lr: float = 0.1, base_len: int = 12, mul: int = 2, min_lr: float = 1e-6):
        schedule = partial(
            sgdr_learning_rate, max_lr=max_lr, base_len=base_len, mul=mul, min_lr=min_lr
        )
        super().__init__(lambda epoch, current: schedule(epoch))
