"""Learning rates of each epoch, besides SGDR, as pure functions; imports nothing heavy."""

import itertools
import math
from dataclasses import dataclass

from utils import UsageError

RESNET_EPOCHS = 164
CLR_CYCLES = 10
SGD_EPOCHS = 200
COSINE_EPOCHS = 100
STEP_EPOCHS = 100
_MOST_EPOCHS = 10**9


def resnet_learning_rate(epoch: int) -> float:
    """Return the rate of He et al. (CVPR 2016, 4.2): 0.01 for one epoch, then 0.1, 0.01, 0.001.

    Epochs count from 0; the rate drops at epochs 80 and 120.
    """
    if epoch == 0:
        return 0.01
    return 0.1 if epoch < 80 else 0.01 if epoch < 120 else 0.001


def stepped_learning_rate(epoch: int, first_lr: float, length: int, factor: float) -> float:
    """Return the rate of an epoch, from 0, if every ``length`` epochs multiply it by ``factor``."""
    return first_lr * factor ** (epoch // length)


@dataclass(frozen=True)
class StepSchedule:
    """Piecewise constant rates."""

    steps: tuple[tuple[int, float], ...]  # first epoch (from 0) and rate, ascending; not empty
    epochs: int  # length of the whole schedule

    def learning_rate(self, epoch: int, before: float = 0.0) -> float:
        """Return the rate of an epoch, from 0; ``before`` is the rate before the first step."""
        return next((rate for first, rate in reversed(self.steps) if epoch >= first), before)


def parse_step_schedule(text: str) -> StepSchedule:
    """Parse ``"1:0.1,31:0.01,41:0.001,50"``: EPOCH:RATE pairs (epochs from 1), number of epochs.

    If the number is missing, the epoch of the last pair is the last one.

    Raises:
        UsageError: the text has another form.
    """
    parts = text.split(",")
    total = None if ":" in parts[-1] else parts.pop()
    try:
        steps = tuple((int(e) - 1, float(rate)) for e, rate in (p.split(":") for p in parts))
        epochs = steps[-1][0] + 1 if total is None else int(total)
    except (ValueError, IndexError) as error:
        raise _malformed(text) from error
    starts = [first for first, _ in steps]
    if (
        not steps
        or starts[0] < 0
        or not starts[-1] < epochs <= _MOST_EPOCHS
        or any(a >= b for a, b in itertools.pairwise(starts))
        or any(not 0 <= rate < math.inf for _, rate in steps)
    ):
        raise _malformed(text)
    return StepSchedule(steps, epochs)


def _malformed(text: str) -> UsageError:
    return UsageError(
        f"{text!r} is not a schedule: expected ascending EPOCH:RATE pairs, epochs from 1, and the "
        "total number of epochs, like 1:0.1,31:0.01,41:0.001,50"
    )
