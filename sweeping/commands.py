"""Command lines of trials."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from datasets.names import parse_name
from datasets.open_sets import OTHER, parse_split
from sweeping.grid import LOSSES, VALIDATION, Trial, number
from sweeping.store import EVALUATION, MODEL
from utils import UsageError, listing

ROOT = Path(__file__).parents[1]
"""Folder of the commands."""

EMBEDDINGS = {"CUB": "cub_deep", "NAB": "nab", "CIFAR-100": "cifar100"}
"""Shipped class embeddings for the semantic losses, as in the paper."""

DATASET = "{dataset}"

RATES = {"SGDR": "--sgdr_max_lr", "Cosine": "--cosine_max_lr", "Step": "--step_lr"}
"""Option for the learning rate, by schedule."""

OPEN_SET, VERIFICATION, FEATURES = "open-set", "verification", "features"
EVALUATIONS = {
    OPEN_SET: "evaluate_open_set.py",
    VERIFICATION: "evaluate_verification.py",
    FEATURES: "plot_embeddings.py",
}
"""Commands that evaluate the network of a trial after its training."""

RESERVED = frozenset(RATES.values()) | frozenset(
    "--dataset --data_root --seed --split --val_fraction "
    "--embedding --loss --cls_weight --label_smoothing "
    "--model_dump --weight_dump --feature_dump --history --log_dir --plot_features "
    "--snapshot --snapshot_best --overwrite --initial_epoch --gpus".split()
)
"""Options that a sweep sets itself, or that would make trials write to the same file."""


@dataclass(frozen=True)
class Commands:
    """Builder of the command lines of trials.

    Attributes:
        options: passed to every command.
        data_roots: folder by data set, or ``""`` for all others; may contain ``{dataset}``.
        embeddings: class embeddings by data set, for semantic losses.
        val_fraction: ``--val_fraction`` of trials that hold out images.
        gpus: number per trial.
        save_models: whether to keep the trained networks; evaluated ones are always kept.
        evaluation: a key of ``EVALUATIONS``, followed by its options; empty: none.
        extra: further options by data set, loss, learning rate or protocol of a trial; they
            override ``options``.
    """

    options: tuple[str, ...]
    data_roots: Mapping[str, str]
    embeddings: Mapping[str, str]
    val_fraction: float | None = None
    gpus: int = 1
    save_models: bool = False
    evaluation: tuple[str, ...] = ()
    extra: Mapping[str | float, tuple[str, ...]] = field(default_factory=dict)

    def of(self, trial: Trial, folder: Path) -> list[str]:
        """Return script and arguments of a training.

        Raises:
            UsageError: there are no class embeddings for the data set, or sweeps cannot vary the
                learning rate of the schedule.
        """
        loss, point = LOSSES[trial.point.loss], trial.point
        folder = _relative(folder)
        command = [str(_relative(ROOT / loss.command)), *self._data_options(trial), *loss.options]
        if loss.semantic:
            command += ["--embedding", self.embedding(point.loss, point.dataset)]
        command += [_rate_option(self.options), number(point.learning_rate)]
        command += ["--seed", str(point.seed)]
        if trial.protocol == VALIDATION and self.val_fraction is not None:
            command += ["--val_fraction", number(self.val_fraction)]
        command += self.options
        for key in (point.learning_rate, point.loss, point.dataset, trial.protocol):
            command += self.extra.get(key, ())
        command += ["--history", str(folder / "history.csv")]
        command += ["--snapshot", str(folder / "snapshot.h5")]
        if self.save_models or self.evaluation:
            command += ["--model_dump", str(folder / MODEL)]
        if self.gpus > 1:
            command += ["--gpus", str(self.gpus)]
        # Existing files belong to the same trial, as the sweep has checked.
        return [*command, "--overwrite"]

    def evaluation_of(self, trial: Trial, folder: Path) -> list[str]:
        """Return script and arguments of the evaluation after a training, or an empty list."""
        if not self.evaluation:
            return []
        folder, (kind, *options) = _relative(folder), self.evaluation
        command = [str(_relative(ROOT / EVALUATIONS[kind]))]
        if kind in (OPEN_SET, FEATURES):
            command += self._data_options(trial)
            split = trial.point.split if kind == OPEN_SET else ""
            if split and parse_split(split)[0].startswith("arpl+"):
                command += ["--unknown_root", str(self.data_root(OTHER))]
        else:
            command += ["--data_root", str(self.data_root(trial.point.dataset))]
        command += [*options, "--model", str(folder / MODEL), "--csv", str(folder / EVALUATION)]
        return [*command, "--overwrite"]

    def _data_options(self, trial: Trial) -> list[str]:
        point = trial.point
        options = ["--dataset", point.dataset]
        if root := self.data_root(point.dataset):
            options += ["--data_root", root]
        if point.subset_seed:
            options += ["--subset_seed", str(point.subset_seed)]
        return options + (["--split", point.split] if point.split else [])

    def data_root(self, dataset: str) -> str | None:
        """Return the folder of a data set, if one was given."""
        base = parse_name(dataset).base
        root = self.data_roots.get(dataset, self.data_roots.get(base, self.data_roots.get("")))
        return root and root.replace(DATASET, base)

    def embedding(self, loss: str, dataset: str) -> str:
        """Return the class embeddings of a data set.

        Raises:
            UsageError: there are none.
        """
        base = parse_name(dataset).base
        known = {**EMBEDDINGS, **self.embeddings}
        if dataset not in known and base not in known:
            raise UsageError(
                f"--losses {loss}: give class embeddings with --embeddings {dataset}=NAME|FILE"
            )
        return known.get(dataset) or known[base]


def _rate_option(options: Sequence[str]) -> str:
    """Return the option of the learning rate, by the schedule that the options name."""
    schedules = ["SGDR"]
    for option, value in pairwise((*options, "")):
        if option.split("=")[0] == "--lr_schedule":
            schedules.append(option.partition("=")[2] or value)
    if schedules[-1] not in RATES:
        raise UsageError(
            f"--lr_schedule {schedules[-1]} after --: a sweep varies the rate of {listing(RATES)}"
        )
    return RATES[schedules[-1]]


def _relative(path: Path) -> Path:
    """Make a path relative to the current folder, where trials run, too, if it is inside."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def check_options(options: Sequence[str], by: str = "sweep") -> None:
    """Check the options for all runs.

    Args:
        options: options with their values.
        by: the command that starts them, for the message.

    Raises:
        UsageError: an option is one that it sets itself.
    """
    given = [option for option in options if option.split("=")[0] in RESERVED]
    if given:
        raise UsageError(f"{given[0]} after --: the {by} sets this option for each trial")
