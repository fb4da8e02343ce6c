"""Stochastic gradient descent with warm restarts, one learning rate per epoch.

Loshchilov & Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017; used for
all experiments of the paper (Section 5.1).
"""

import math
from functools import partial

import keras

CYCLES = 5


def sgdr_epochs(base_len: int = 12, mul: int = 2, cycles: int = CYCLES) -> int:
    """Return the epochs of so many whole cycles: 12 + 24 + 48 + 96 + 192 = 372 by default."""
    return sum(base_len * mul**cycle for cycle in range(cycles))


def ends_cycle(epoch: int, base_len: int = 12, mul: int = 2) -> bool:
    """Return whether an epoch, from 0, is the last of its cycle."""
    start, length = _cycle(epoch, base_len, mul)
    return epoch + 1 == start + length


def _cycle(epoch: int, base_len: int, mul: int) -> tuple[int, int]:
    """Return the first epoch and the length of the cycle that an epoch is in."""
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

    The first epoch of a cycle runs at ``max_lr``, the last one at ``min_lr``: epoch i > 0 of T
    takes the cosine at (i + 1) / T. The published experiments ran with this curve, which differs
    from ``keras.optimizers.schedules.CosineDecayRestarts``.

    Args:
        epoch: from 0.
        max_lr: learning rate at the start of each cycle.
        base_len: number of epochs of the first cycle, at least 1.
        mul: factor from each cycle's length to the next one's, at least 1.
        min_lr: learning rate at the end of each cycle.
    """
    start, length = _cycle(epoch, base_len, mul)
    epoch -= start
    if epoch == 0:
        return max_lr
    return min_lr + (max_lr - min_lr) / 2 * (1 + math.cos(math.pi * (epoch + 1) / length))


class SGDR(keras.callbacks.LearningRateScheduler):
    """Set the learning rate at the start of each epoch; arguments of ``sgdr_learning_rate``."""

    def __init__(self, max_lr: float = 0.1, base_len: int = 12, mul: int = 2, min_lr: float = 1e-6):
        schedule = partial(
            sgdr_learning_rate, max_lr=max_lr, base_len=base_len, mul=mul, min_lr=min_lr
        )
        super().__init__(lambda epoch, current: schedule(epoch))
