"""Batches of training samples and background samples, which belong to none of the known classes.

Source: Cevikalp and Saribas, https://arxiv.org/abs/2212.11747; Dhamija et al., Reducing Network
Agnostophobia (NeurIPS 2018), https://arxiv.org/abs/1811.04110.
"""

from functools import lru_cache

import numpy as np

from datasets.base import Split
from datasets.batches import BACKGROUND, Batches
from utils import generator, generators


class BatchesWithBackground(Batches):
    """Batches whose second half consists of background images with the label ``BACKGROUND``.

    They are preprocessed like the training images, and have their own random order, which depends
    only on seed and epoch. If there are more than needed, every epoch has a new random selection;
    if there are fewer, they are repeated.

    Args:
        *args: arguments of ``Batches``.
        background: the images; their labels are ignored.
        **options: options of ``Batches``.
    """

    def __init__(self, *args: object, background: Split, **options: object):
        self.background = background
        self._order = lru_cache(2)(self._drawn)  # of this epoch, and of one that is read ahead
        super().__init__(*args, **options)

    def _drawn(self, epoch: int) -> np.ndarray:
        rng = generator("background order", self.seed, epoch)
        needed, count = self.per_pass * self.repeats, len(self.background)
        rounds = -(-needed // count)
        return np.concatenate([rng.permutation(count) for _ in range(rounds)])[:needed]

    def _make(self, epoch: int, orders: list[np.ndarray], index: int):
        images, targets = super()._make(epoch, orders, index)
        passes, first = divmod(index, self._batches_per_pass)
        start = passes * self.per_pass + first * self.batch_size
        positions = np.arange(start, start + len(images))
        samples = self.background.batch(self._order(epoch)[positions])
        each = generators("background augmentation", self.seed, epoch, positions=positions)
        images = np.concatenate([images, self._transformed(samples, each)])
        none = np.full(len(positions), BACKGROUND, np.int32)
        if isinstance(targets, tuple):
            return images, tuple(np.concatenate([labels, none]) for labels in targets)
        return images, np.concatenate([targets, none])
