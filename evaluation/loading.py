"""Options for reading samples and running networks in evaluations."""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from datasets.base import Split, Transform
from datasets.batches import Batches
from evaluation.features import compute, finite


@dataclass(frozen=True)
class LoaderOptions:
    """Options for reading samples and running a network."""

    batch_size: int = 100  # samples per batch
    workers: int = 1  # threads that read samples
    queue_size: int = 10  # batches read in advance
    jit_compile: bool = False  # whether the network is compiled
    verbose: int = 0  # 1 shows progress bars
    augmentation_epochs: int = 1  # augmented passes over the training images; 1: not augmented
    seed: int = 0  # random seed of the augmentation

    def batches(self, split: Split, transform: Transform, epoch: int = 0) -> closing[Batches]:
        """Return the batches of a split, in order, for a ``with`` block."""
        batches = Batches(
            split,
            transform,
            self.batch_size,
            seed=self.seed,
            workers=self.workers,
            max_queue_size=self.queue_size,
        )
        batches.set_epoch(epoch)
        return closing(batches)

    def compute(
        self, network: keras.Model, source: str | Path, split: Split, transform: Transform
    ) -> list[np.ndarray]:
        """Return the outputs of a network for a split, see ``evaluation.features.compute``.

        Raises:
            UserError: a sample cannot be read, or an output is not finite; names the ``source``.
        """
        network.jit_compile = self.jit_compile
        with self.batches(split, transform) as batches:
            outputs = compute(network, batches, self.verbose)
        return [finite(values, source) for values in outputs]
