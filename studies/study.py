"""Studies as data: parts of runs with shared options, and their published results."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import chain

from sweeping.grid import PAPER, PROTOCOLS, VALIDATION, Point, Trial, grid
from utils import UsageError, unknown_name

ROOMS = {
    "paper": ("table-2", "table-3", "figure-1", "figure-2", "figure-3", "overfitting"),
    "small": ("cub50", "orl", "cifar-100-small", "digits"),
    "simplex": ("dsc-synthetic", "dsc-closed-set", "dsc-dam", "open-set", "verification"),
    "recipes": ("vipriors", "baselines"),
}
"""Names of studies by the folder of their definitions."""

NAMES = tuple(chain.from_iterable(ROOMS.values()))

SCALES = ("paper", "reduced")

TITLES = {
    "mse": "MSE",
    "xent": "softmax + cross-entropy",
    "xent+ls": "… with label smoothing 0.1",
    "cosine": "cosine, one-hot",
    "cosine+xent": "cosine + 0.1 cross-entropy, one-hot",
    "semantic": "cosine, semantic",
    "semantic+xent": "cosine + 0.1 cross-entropy, semantic",
    "dsc": "DSC",
    "dsc_hinge": "DSC, hinge loss",
    "dsc_softmax": "DSC, softmax loss",
    "dsc_open": "DSC, open-set loss",
}
"""Losses as the tables call them."""

Cell = tuple[str, str]
"""Data set and loss."""


def in_order(trial: Trial) -> tuple[int, str]:
    """Sort key of trials: one seed after the other, and of a seed one split."""
    return trial.point.seed, trial.point.split


@dataclass(frozen=True)
class Search:
    """How the best of several learning rates is chosen.

    Attributes:
        protocols: what decides: the best test accuracy (the paper's protocol), the accuracy on
            held-out training samples, or both.
        seeds: number of the part's seeds that are trained to choose.
        dataset: data set on which the rate is chosen for all; None: on each by itself.
        val_fraction: share of the training samples that is held out; None: ``dataset`` has samples
            for validation of its own, if the protocol needs any.
        averaged: number of final evaluations whose mean accuracy decides.
    """

    protocols: tuple[str, ...] = (PAPER,)
    seeds: int = 1
    dataset: str | None = None
    val_fraction: float | None = None
    averaged: int = 1


@dataclass(frozen=True, eq=False)
class Part:
    """Trainings that share their options: one folder of a sweep, one table of the report.

    First each loss is trained at all its rates, with the first seeds only, and the best rate is
    chosen. Then it is trained with all seeds at that rate. Rates that are fixed have all seeds at
    once.

    Attributes:
        title: title of the table.
        datasets: names with suffixes.
        losses: keys of ``sweeping.grid.LOSSES``.
        rates: candidates for ``--sgdr_max_lr``, for all losses or by loss; a single one is fixed.
        options: options that all runs share.
        folder: name within the study's folder; ``""``: the study has no other part.
        search: how the rate is chosen among the candidates.
        paper_rates: rates by loss that the paper's protocol takes instead of the candidates: each
            is trained with all seeds, and of those that have them all, that of the best mean test
            accuracy counts.
        seeds: seeds of the runs that are reported.
        new_subsets: whether every seed selects training samples of its own, ``--subset_seed``.
        extra: further options of some runs, which override ``options``: by data set, loss or
            learning rate, or ``VALIDATION`` for those that choose the rate on held-out samples.
        gpus: number of GPUs per run.
        embeddings: class embeddings by data set, for semantic losses.
        weights: whether training starts from weights, which the user gives.
        full_size: training samples per class of a data set without ``-subN``.
        published_accuracies: what others report, in percent.
        compared: losses; the mean of the first is compared with those of the others by Welch's
            t-test.
        splits: values of ``--split``, each of which is trained on with every seed.
        evaluation: how networks are evaluated afterwards, see ``sweeping.commands.Commands``.
        published_metrics: what others report of such evaluations, in percent.
        superseded: data sets on which neither the claims nor the overview rest on this part, but on
            another one, which has all losses, or avoids a fault of these runs.
        protocols: by which accuracies are reported, if not by the paper's and those of the search.
            Without the paper's: only the last epoch is tested, so that there is no best one to
            choose.
        fitting: whether the report shows how well training samples are fitted in the end.
    """

    title: str
    datasets: tuple[str, ...]
    losses: tuple[str, ...]
    rates: tuple[float, ...] | Mapping[str, tuple[float, ...]]
    options: str
    folder: str = ""
    search: Search = Search()
    paper_rates: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    seeds: tuple[int, ...] = (0,)
    new_subsets: bool = False
    extra: Mapping[str | float, str] = field(default_factory=dict)
    gpus: int | None = None
    embeddings: Mapping[str, str] = field(default_factory=dict)
    weights: bool = False
    full_size: int | None = None
    published_accuracies: Mapping[Cell, float] = field(default_factory=dict)
    compared: tuple[str, ...] = ()
    splits: tuple[str, ...] = ("",)
    evaluation: str = ""
    published_metrics: Mapping[Cell, Mapping[str, float]] = field(default_factory=dict)
    superseded: tuple[str, ...] = ()
    protocols: tuple[str, ...] = ()
    fitting: bool = False

    @property
    def shown(self) -> tuple[str, ...]:
        """Protocols by which accuracies are reported."""
        choosing = {PAPER, *self.search.protocols}
        return self.protocols or tuple(p for p in PROTOCOLS if p in choosing)

    def deciding(self, protocol: str) -> str:
        """Return the protocol by which the rate is chosen that a protocol reports."""
        return VALIDATION if protocol == PAPER and PAPER not in self.search.protocols else protocol

    def rates_of(self, loss: str) -> tuple[float, ...]:
        """Return the candidates of a loss."""
        return self.rates[loss] if isinstance(self.rates, Mapping) else self.rates

    def fixed_rates(self, loss: str) -> tuple[float, ...]:
        """Return the rates of a loss that no search chooses."""
        only = self.rates_of(loss) if len(self.rates_of(loss)) == 1 else ()
        return tuple(dict.fromkeys((*only, *self.paper_rates.get(loss, ()))))

    def cells(self) -> list[Cell]:
        """Return all data sets and losses, in the order of the table."""
        return [(dataset, loss) for dataset in self.datasets for loss in self.losses]

    def trained(self) -> set[Cell]:
        """Return the cells, and those on which the rates are chosen."""
        datasets = {*self.datasets, self.search.dataset} - {None}
        return {(dataset, loss) for dataset in datasets for loss in self.losses}

    def candidates(self, cell: Cell, protocol: str) -> list[Trial]:
        """Return the trials that choose the rate of a cell; none if it is fixed."""
        dataset, loss = self.search.dataset or cell[0], cell[1]
        if protocol not in self.search.protocols or len(self.rates_of(loss)) == 1:
            return []
        seeds = self.seeds[: self.search.seeds]
        points = grid([dataset], [loss], self.rates_of(loss), seeds, self.splits)
        return [Trial(self._drawn(point), protocol) for point in points]

    def repeated(self, cell: Cell, rate: float) -> list[Trial]:
        """Return the trials of a cell at the chosen rate."""
        dataset, loss = cell
        points = grid([dataset], [loss], [rate], self.seeds, self.splits)
        return [Trial(self._drawn(point), PAPER) for point in points]

    def first_trials(self) -> list[Trial]:
        """Return the trials that choose the rates of all cells, and those at fixed rates."""
        found = {}
        for protocol in PROTOCOLS:
            for cell in self.cells():
                found |= dict.fromkeys(self.candidates(cell, protocol))
        for cell in self.cells():
            for rate in self.fixed_rates(cell[1]):
                found |= dict.fromkeys(self.repeated(cell, rate))
        return sorted(found, key=in_order)

    def trials(self) -> list[Trial]:
        """Return all trials that might be run, whatever rates are chosen."""
        found = dict.fromkeys(self.first_trials())
        for cell in self.cells():
            for rate in self.rates_of(cell[1]):
                found |= dict.fromkeys(self.repeated(cell, rate))
        return list(found)

    def _drawn(self, point: Point) -> Point:
        subset = point.seed if self.new_subsets else 0
        return replace(point, subset_seed=subset)


@dataclass(frozen=True)
class Study:
    """Question that the paper, or this project, answers by training runs.

    Attributes:
        name: name on the command line.
        title: title in one line.
        text: what is compared, for the report.
        paper: its runs as published.
        reduced: its runs at a size that CPUs can do.
        reduced_in: other studies that are its reduced scale.
        reduced_text: what was reduced against the paper.
        draws: functions of ``studies.reports.figures`` that draw it.
    """

    name: str
    title: str
    text: str = ""
    paper: tuple[Part, ...] = ()
    reduced: tuple[Part, ...] = ()
    reduced_in: tuple[str, ...] = ()
    reduced_text: str = ""
    draws: tuple[str, ...] = ()

    def parts_on(self, dataset: str) -> list[Part]:
        """Return the parts of the reduced scale that count on a data set."""
        return [p for p in self.reduced if dataset in p.datasets and dataset not in p.superseded]

    def parts(self, scale: str) -> tuple[Part, ...]:
        """Return the runs of a scale.

        Raises:
            UsageError: it has none.
        """
        parts = self.paper if scale == "paper" else self.reduced
        if not parts:
            where = ", ".join(self.reduced_in) if scale == "reduced" else ""
            hint = f"; its reduced scale is {where}" if where else ""
            if not (self.paper or self.reduced or where):
                hint = f"; give report {self.name}"
            raise UsageError(f"{self.name}: has no training at --scale {scale}{hint}")
        return parts


def load(name: str) -> Study:
    """Return a study by name.

    Raises:
        UsageError: there is none.
    """
    for room, names in ROOMS.items():
        if name in names:
            module = f"studies.definitions.{room}.{name.replace('-', '_')}"
            return importlib.import_module(module).STUDY
    raise unknown_name("study", name, NAMES)
