"""Learning rates that change with every step, as Keras schedules.

``keras.optimizers.schedules.CosineDecay`` is not used: its warm-up starts at a rate of 0.
"""

import math
from dataclasses import dataclass

import keras
from keras import KerasTensor, ops


@dataclass(frozen=True)
class Steps:
    """Numbers of batches, for schedules that count steps instead of epochs."""

    per_epoch: int  # batches per epoch
    per_pass: int  # full batches in one pass over the training images; an epoch may make several
    began: int = 0  # epochs that counted as done when the optimizer began to count batches
    accumulate: int = 1  # batches per step


class StepRates(keras.optimizers.schedules.LearningRateSchedule):
    """Base of the schedules here: ``rate`` maps the number of steps so far to the learning rate."""

    def __init__(self, steps: Steps):
        self.steps = steps

    def __call__(self, iterations: KerasTensor | int) -> KerasTensor:
        """Return the rate after a number of batches, which is what Keras counts."""
        batches = iterations + self.steps.began * self.steps.per_epoch
        return self.rate(ops.cast(batches // self.steps.accumulate, "float32"))

    def rate(self, step: KerasTensor) -> KerasTensor:
        raise NotImplementedError

    def of_epoch(self, epoch: int) -> float:
        """Return the rate at the beginning of an epoch, from 0."""
        batches = (epoch - self.steps.began) * self.steps.per_epoch
        return float(ops.convert_to_numpy(self(batches)))

    def get_config(self) -> dict[str, object]:
        return vars(self) | {"steps": vars(self.steps)}


class TriangularCycles(StepRates):
    """Triangular cyclical learning rate (Smith, WACV 2017).

    Args:
        steps: numbers of batches.
        passes: half a cycle, in passes over the images: as published, not in epochs, which may
            have repetitions.
        min_lr: lowest rate, at the beginning.
        max_lr: highest rate.
    """

    def __init__(self, steps: Steps, passes: int, min_lr: float = 1e-5, max_lr: float = 0.1):
        super().__init__(steps)
        self.half_cycle = passes * max(steps.per_pass // steps.accumulate, 1)
        self.min_lr = min_lr
        self.max_lr = max_lr

    def rate(self, step: KerasTensor) -> KerasTensor:
        position = step % (2 * self.half_cycle) / self.half_cycle
        return self.min_lr + (self.max_lr - self.min_lr) * (1 - ops.abs(1 - position))


class CosineAnnealing(StepRates):
    """Cosine decay over the whole training (Loshchilov, Hutter, ICLR 2017).

    Args:
        steps: numbers of batches.
        epochs: length of the whole training.
        max_lr: rate of the first step, or of the last step of the warm-up.
        min_lr: rate at the end of the training.
        warmup: epochs of linear warm-up (Goyal et al., https://arxiv.org/abs/1706.02677).
    """

    def __init__(
        self,
        steps: Steps,
        epochs: int,
        max_lr: float = 0.1,
        min_lr: float = 0.0,
        warmup: int = 0,
    ):
        super().__init__(steps)
        self.end = epochs * steps.per_epoch // steps.accumulate
        self.max_lr = max_lr
        self.min_lr = min_lr
        self.warmup = warmup * steps.per_epoch // steps.accumulate

    def rate(self, step: KerasTensor) -> KerasTensor:
        left = ops.clip((self.end - step) / max(self.end - self.warmup, 1), 0, 1)
        # Half of 1 + cos, of which float32 would keep few digits near the end.
        wave = ops.sin(math.pi / 2 * left) ** 2
        falling = self.min_lr + (self.max_lr - self.min_lr) * wave
        if not self.warmup:
            return falling
        return ops.where(step < self.warmup, self.max_lr * (step + 1) / self.warmup, falling)
