"""Options for reading samples and running networks in evaluations."""

from contextlib import closing
from dataclasses import dataclass

from datasets.base import Split, Transform
from datasets.batches import Batches


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
