"""The learning rates of the schedules besides SGDR, as pure functions; imports nothing heavy."""

import itertools
import math
from dataclasses import dataclass

from utils import UsageError

RESNET_EPOCHS = 164
CLR_EPOCHS = 240
SGD_EPOCHS = 200
_MOST_EPOCHS = 10**9


def resnet_learning_rate(epoch: int) -> float:
    """Return the rate of He et al. (CVPR 2016, 4.2): a first epoch at 0.01, then 0.1, 0.01, 0.001.

    Args:
        epoch: from 0; the rate falls at epochs 80 and 120.
    """
    if epoch == 0:
        return 0.01
    return 0.1 if epoch < 80 else 0.01 if epoch < 120 else 0.001


def clr_learning_rate(
    iteration: int, half_cycle: int, min_lr: float = 1e-5, max_lr: float = 0.1
) -> float:
    """Return the triangular cyclical rate (Smith, WACV 2017): up and down along straight lines.

    Args:
        iteration: batches trained so far.
        half_cycle: batches from the lowest to the highest rate.
        min_lr: lowest rate.
        max_lr: highest rate.
    """
    position = iteration % (2 * half_cycle) / half_cycle
    return min_lr + (max_lr - min_lr) * (1 - abs(1 - position))


@dataclass(frozen=True)
class StepSchedule:
    """Constant rates from given epochs on.

    Attributes:
        steps: pairs of first epoch (from 0) and learning rate, ascending.
        epochs: how many epochs the whole schedule has.
    """

    steps: tuple[tuple[int, float], ...]
    epochs: int

    def learning_rate(self, epoch: int) -> float:
        """Return the rate of an epoch, counted from 0."""
        return next(rate for first, rate in reversed(self.steps) if epoch >= first)


def parse_step_schedule(text: str) -> StepSchedule:
    """Parse ``"1:0.1,31:0.01,41:0.001,50"``: pairs EPOCH:RATE from epoch 1 on, then the total.

    Raises:
        UsageError: the text has another form.
    """
    try:
        *pairs, total = text.split(",")
        steps = tuple((int(e) - 1, float(rate)) for e, rate in (p.split(":") for p in pairs))
        epochs = int(total)
    except ValueError as error:
        raise _malformed(text) from error
    starts = [first for first, _ in steps] + [epochs]
    ascending = all(a < b for a, b in itertools.pairwise(starts))
    if (
        not steps
        or starts[0] != 0
        or epochs > _MOST_EPOCHS
        or not ascending
        or any(not 0 <= rate < math.inf for _, rate in steps)
    ):
        raise _malformed(text)
    return StepSchedule(steps, epochs)


def _malformed(text: str) -> UsageError:
    return UsageError(
        f"{text!r} is no schedule: expected ascending EPOCH:RATE pairs from epoch 1 on and the "
        "total number of epochs, like 1:0.1,31:0.01,41:0.001,50"
    )
