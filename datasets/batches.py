"""Batches for Keras, independent of the number of threads."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property

import keras
import numpy as np

from datasets.base import Mixing, Split, Transform
from utils import generator, generators

BACKGROUND = -1
"""Label of images that belong to no class."""


class Batches(keras.utils.PyDataset):
    """Batches of transformed samples and labels, read ahead by threads.

    An epoch is one or more passes over the split, each in its own order and with its own, maybe
    smaller, last batch. The order depends on seed, epoch and pass; the augmentation of a sample
    depends on these and its index in the split. Neither depends on batch size, threads or time, so
    a run can be repeated and resumed exactly. Keras does not tell a data set the epoch, and up to
    3.15 starts its own worker threads before ``on_epoch_begin``
    (https://github.com/keras-team/keras/issues/23283). Therefore, call ``set_epoch`` before an
    epoch, or use ``SetEpoch``.

    Call ``fit`` with ``shuffle=False``: by default, Keras shuffles the batches of any ``PyDataset``
    by Python's global generator, after this class has ordered the samples.

    The objective turns labels into targets. Labels of mixed samples are rows of two class
    positions and the share of the second, float32 (b, 3). Partners and parameters of the mixing
    depend on seed, epoch and the index of the batch; every host draws them for the whole batch.

    Keras' own queue is not used: batches that it has read ahead when building the model or stopping
    an epoch turn up again in a later one (https://github.com/keras-team/keras/pull/20123). The
    threads here read ahead, too, but batches are requested by epoch and index, so none can be
    stale, missing or duplicate.

    Args:
        split: samples and labels.
        transform: a ``Transform``, or a function of one sample and a random generator, which is
            valid only during the call. Returns arrays of one shape and type.
        batch_size: samples per batch; the last one of a pass may be smaller.
        seed: seed of order and augmentation, non-negative.
        shuffle: whether each pass has a new random order.
        repeats: passes over the split in an epoch.
        oversample: whether each pass has as many samples of each class as the largest class has:
            all samples of the class equally often, plus a random remainder.
        workers: threads that prepare batches in advance; 0: batches are prepared on access.
        max_queue_size: number of batches to prepare in advance.
        multiple: divisor of ``batch_size`` and of the size of the last batch, which is padded with
            the first samples in the order of the pass.
        num_outputs: number of outputs of the trained network; Keras expects labels for each.
        part: (i, n): return only the i-th of n equal parts of every batch, in order; ``multiple``
            must be a multiple of n.
        mixing: how samples are mixed, or None.

    Attributes:
        epoch: the current epoch, counted from 0.
        error: the first exception of ``transform`` or of reading samples. TensorFlow only passes on
            its text, so callers of ``fit`` find the original here.
    """

    def __init__(
        self,
        split: Split,
        transform: Transform | Callable[[object, np.random.Generator], np.ndarray],
        batch_size: int,
        *,
        seed: int = 0,
        shuffle: bool = False,
        repeats: int = 1,
        oversample: bool = False,
        workers: int = 1,
        max_queue_size: int = 10,
        multiple: int = 1,
        num_outputs: int = 1,
        part: tuple[int, int] = (0, 1),
        mixing: Mixing | None = None,
    ):
        super().__init__(workers=1)  # more would start Keras' queue
        self.split = split
        self.transform = transform
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle
        self.repeats = repeats
        self.oversample = oversample
        self.multiple = multiple
        self.num_outputs = num_outputs
        self.part = part
        self.mixing = mixing
        self.error: Exception | None = None
        self._pool = ThreadPoolExecutor(workers, "batches") if workers else None
        self._ahead = max_queue_size if workers else 0
        self._futures: dict[tuple[int, int], Future] = {}
        self._lock = threading.Lock()
        self.set_epoch(0)

    @property
    def epoch(self) -> int:
        return self._state[0]

    @property
    def num_batches(self) -> int:
        """The number of batches that Keras requests: those of the epoch that are not skipped."""
        return len(self) - self._state[2]

    def set_epoch(self, epoch: int, skip: int = 0) -> None:
        """Start an epoch, counted from 0; index 0 is the batch after the first ``skip`` ones."""
        count = self.per_pass
        rng = generator("order", self.seed, epoch)
        padded = count + -(count % self.batch_size) % self.multiple
        orders = []
        for _ in range(self.repeats):
            drawn = self._equally_often(rng) if self.oversample else np.arange(count)
            order = rng.permutation(drawn) if self.shuffle else drawn
            orders.append(np.resize(order, padded))  # pads with the first samples
        # In one step: threads see either epoch, never a mixture.
        self._state = (epoch, orders, skip)

    def _equally_often(self, rng: np.random.Generator) -> np.ndarray:
        """Draw as many samples from each class as the largest has.

        The r-th copy of sample i (both from 0) has the number i + r n; n is the size of the split.
        """
        count, rounds = len(self.split), range(self._copies)
        drawn = []
        for label in np.unique(self.split.labels):
            members = np.flatnonzero(self.split.labels == label)
            copies = np.concatenate([rng.permutation(members) + r * count for r in rounds])
            drawn.append(copies[: self._largest])
        return np.concatenate(drawn)

    def __len__(self) -> int:
        return self.repeats * self._batches_per_pass

    @cached_property
    def per_pass(self) -> int:
        """The number of samples in a pass."""
        if not self.oversample:
            return len(self.split)
        return self._largest * len(np.unique(self.split.labels))

    @cached_property
    def _largest(self) -> int:
        return int(np.bincount(self.split.labels).max())

    @cached_property
    def _copies(self) -> int:
        """The maximum number of times that a sample occurs in a pass."""
        if not self.oversample:
            return 1
        smallest = np.unique(self.split.labels, return_counts=True)[1].min()
        return -(-self._largest // int(smallest))

    @property
    def _batches_per_pass(self) -> int:
        return -(-self.per_pass // self.batch_size)

    def __getitem__(self, index: int):
        """Return batch ``index`` of the epoch: samples (b, …) and labels.

        Labels are class positions, int32 (b,), or those of mixed samples, float32 (b, 3).
        """
        epoch, orders, skip = self._state
        index += skip
        if not skip <= index < len(self):
            raise IndexError(f"there are {len(self)} batches, but batch {index} was asked for")
        try:
            if self._pool is None:
                return self._make(epoch, orders, index)
            return self._take(epoch, orders, index).result()
        except Exception as error:
            with self._lock:
                self.error = self.error or error
            self.on_epoch_end()
            raise

    def on_epoch_end(self) -> None:
        """Drop batches prepared in advance, in case the epoch was cut short; Keras calls this."""
        with self._lock:
            self._keep_only(frozenset())

    @contextmanager
    def original_errors(self) -> Iterator[None]:
        """Re-raise the loader's original exception, which backends wrap in their own."""
        try:
            yield
        except Exception as error:
            if self.error is None or self.error is error:
                raise
            raise self.error from error

    def close(self) -> None:
        """End the threads and cancel pending batches, for which Python would wait at exit."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _take(self, epoch: int, orders: list[np.ndarray], index: int) -> Future:
        """Return the future of a batch, and submit the next ones as well."""
        last = min(index + self._ahead, len(self) - 1)
        wanted = [(epoch, i) for i in range(index, last + 1)]
        with self._lock:
            self._keep_only(frozenset(wanted))
            for key in wanted:
                if key not in self._futures:
                    self._futures[key] = self._pool.submit(self._make, epoch, orders, key[1])
            return self._futures.pop(wanted[0])  # nobody else can cancel it now

    def _keep_only(self, wanted: frozenset[tuple[int, int]]) -> None:
        for key in self._futures.keys() - wanted:
            self._futures.pop(key).cancel()

    def _make(self, epoch: int, orders: list[np.ndarray], index: int):
        passes, first = divmod(index, self._batches_per_pass)
        start = first * self.batch_size
        positions = orders[passes][start : start + self.batch_size]
        seen = passes * len(self.split) * self._copies
        number, parts = self.part
        share = len(positions) // parts
        own = np.arange(number * share, (number + 1) * share)
        if self.mixing is None:
            samples = self._read(epoch, seen, positions[own])
            labels = self._labels(positions[own]).astype(np.int32)
        else:
            samples, labels = self._mixed(epoch, seen, index, positions, own)
        return samples, labels if self.num_outputs == 1 else (labels,) * self.num_outputs

    def _mixed(
        self, epoch: int, seen: int, index: int, positions: np.ndarray, own: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return mixed samples and labels of this process's part of a batch."""
        rng = generator("mixing", self.seed, epoch, index)
        partners = rng.permutation(len(positions))[own]
        read = np.concatenate([own, np.setdiff1d(partners, own)])
        place = np.empty(len(positions), np.int64)
        place[read] = np.arange(len(read))
        samples = self._read(epoch, seen, positions[read])
        samples, share = self.mixing(samples, place[partners], rng)
        classes = self._labels(positions)
        columns = classes[own], classes[partners], np.full(len(own), share)
        return samples, np.stack(columns, axis=1).astype(np.float32)

    def _read(self, epoch: int, seen: int, positions: np.ndarray) -> np.ndarray:
        """Return transformed samples; ``seen`` is the number of positions of earlier passes."""
        each = generators("augmentation", self.seed, epoch, positions=seen + positions)
        return self._transformed(self.split.batch(positions % len(self.split)), each)

    def _labels(self, positions: np.ndarray) -> np.ndarray:
        return self.split.labels[positions % len(self.split)]

    def _transformed(self, samples: Sequence, each: Iterable[np.random.Generator]) -> np.ndarray:
        if isinstance(self.transform, Transform):
            return self.transform.batch(samples, each)
        return np.stack([self.transform(*pair) for pair in zip(samples, each, strict=True)])


class SetEpoch(keras.callbacks.Callback):
    """Set the epoch of ``Batches``; Keras runs callbacks before it reads any data.

    ``skip`` is the number of batches to skip in the first epoch.
    """

    def __init__(self, batches: Batches, skip: int = 0):
        super().__init__()
        self.batches = batches
        self.skip = skip

    def on_epoch_begin(self, epoch, logs=None):
        self.batches.set_epoch(epoch, self.skip)

    def on_epoch_end(self, epoch, logs=None):
        self.skip = 0
        self.batches.set_epoch(epoch)
