"""Grid of a sweep: losses by name, points, and the trials of each point."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from datasets.names import parse_name
from training.objectives import DEFAULT_LOSS, EMBEDDING_LOSSES

LEARNING_RATES = (2.5, 1.0, 0.5, 0.1, 0.05, 0.01, 0.005, 0.001)
"""The published candidates for the learning rate of SGDR (published README, Section 4.4)."""

PAPER, VALIDATION = "paper", "validation"
PROTOCOLS = (PAPER, VALIDATION)
"""``paper`` trains on all training images, ``validation`` on those that are not held out."""


@dataclass(frozen=True)
class Loss:
    """How to train with one of the compared losses.

    Attributes:
        command: file name of the training command.
        options: options that select the loss.
        semantic: whether it needs class embeddings for the data set.
    """

    command: str
    options: tuple[str, ...] = ()
    semantic: bool = False


_CLASSIFIER, _EMBEDDINGS = "learn_classifier.py", "learn_image_embeddings.py"
_ONEHOT, _CLS = ("--embedding", "onehot"), ("--cls_weight", "0.1")


def _on_generated(name: str) -> Loss:
    option = () if name == DEFAULT_LOSS else ("--loss", name)
    return Loss(_EMBEDDINGS, ("--embedding", EMBEDDING_LOSSES[name].embedding, *option))


LOSSES = {
    **{loss.title: _on_generated(name) for name, loss in EMBEDDING_LOSSES.items()},
    "xent": Loss(_CLASSIFIER),
    "xent+ls": Loss(_CLASSIFIER, ("--label_smoothing", "0.1")),
    "cosine+xent": Loss(_EMBEDDINGS, (*_ONEHOT, *_CLS)),
    "semantic": Loss(_EMBEDDINGS, semantic=True),
    "semantic+xent": Loss(_EMBEDDINGS, _CLS, semantic=True),
}
"""All losses of ``training.objectives`` on their default embeddings, and the paper's (Table 2)."""


ANY_RATE = math.inf
"""Stands for a learning rate that is yet to be chosen."""


@dataclass(frozen=True)
class Point:
    """Point of the grid.

    Attributes:
        dataset: name as returned by ``dataset_key``.
        loss: a key of ``LOSSES``.
        learning_rate: highest rate of the schedule.
        seed: ``--seed``.
        subset_seed: ``--subset_seed``; 0: as in the options for all trials.
        split: ``--split``, which defines the known classes; ``""``: all classes.
    """

    dataset: str
    loss: str
    learning_rate: float
    seed: int
    subset_seed: int = 0
    split: str = ""


@dataclass(frozen=True)
class Trial:
    """One training run.

    Attributes:
        point: point of the grid.
        protocol: one of ``PROTOCOLS``.
    """

    point: Point
    protocol: str

    @property
    def name(self) -> str:
        """Name of its folder."""
        p = self.point
        subset = f"_subset{p.subset_seed}" if p.subset_seed else ""
        subset += f"_{p.split.replace(':', '-')}" if p.split else ""
        held_out = "_val" if self.protocol == VALIDATION else ""
        return f"{p.dataset}_{p.loss}_lr{number(p.learning_rate)}_seed{p.seed}{subset}{held_out}"

    @property
    def title(self) -> str:
        """Name in messages."""
        p = self.point
        subset = f", subset {p.subset_seed}" if p.subset_seed else ""
        subset += f", {p.split}" if p.split else ""
        held_out = ", validation" if self.protocol == VALIDATION else ""
        rate = number(p.learning_rate)
        return f"{p.dataset} {p.loss}, rate {rate}, seed {p.seed}{subset}{held_out}"


def number(value: float) -> str:
    """Return the shortest text that represents this number exactly; ``LR`` for ``ANY_RATE``."""
    if value == ANY_RATE:
        return "LR"
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def dataset_key(name: str) -> str:
    """Return the canonical form of a data set's name, with suffixes in a fixed order and case.

    Raises:
        UsageError: there is no such data set.
    """
    parts = parse_name(name)
    large = "-large" if parts.large else ""
    normalization = f"-{parts.normalization}" if parts.normalization else ""
    subset = f"-sub{parts.per_class}" if parts.per_class else ""
    part = f"_{parts.part}" if parts.part else ""
    return parts.base + part + subset + large + normalization


def grid(
    datasets: Iterable[str],
    losses: Iterable[str],
    learning_rates: Iterable[float],
    seeds: Iterable[int],
    splits: Iterable[str] = ("",),
) -> list[Point]:
    """Return all combinations, ordered by seed, then by split."""
    return [
        Point(dataset, loss, rate, seed, split=split)
        for seed in seeds
        for split in splits
        for dataset in datasets
        for loss in losses
        for rate in learning_rates
    ]
