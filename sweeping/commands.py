"""Command lines of trials."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from datasets.names import parse_name
from sweeping.grid import LOSSES, VALIDATION, Trial, number
from sweeping.store import MODEL
from utils import UsageError

ROOT = Path(__file__).parents[1]
"""Folder of the commands."""

EMBEDDINGS = {"CUB": "cub_deep", "NAB": "nab", "CIFAR-100": "cifar100"}
"""Shipped class embeddings for the semantic losses, as in the paper."""

DATASET = "{dataset}"

RESERVED = frozenset(
    (
        *("--dataset", "--data_root", "--seed", "--sgdr_max_lr", "--val_fraction"),
        *("--embedding", "--loss", "--cls_weight", "--label_smoothing"),
        *("--model_dump", "--weight_dump", "--feature_dump", "--history", "--log_dir"),
        *("--snapshot", "--snapshot_best", "--overwrite", "--initial_epoch", "--gpus"),
    )
)
"""Options that a sweep sets itself, or by which trials would share a file."""


@dataclass(frozen=True)
class Commands:
    """Builder of the command lines of trials.

    Attributes:
        options: passed on to every command.
        data_roots: folder by data set, or ``""`` for all others, which may contain ``{dataset}``.
        embeddings: class embeddings by data set, for semantic losses.
        val_fraction: of trials that hold out images.
        gpus: number per trial.
        save_models: whether the trained networks are kept.
    """

    options: tuple[str, ...]
    data_roots: Mapping[str, str]
    embeddings: Mapping[str, str]
    val_fraction: float | None = None
    gpus: int = 1
    save_models: bool = False

    def of(self, trial: Trial, folder: Path) -> list[str]:
        """Return script and arguments.

        Raises:
            UsageError: there are no class embeddings for the data set.
        """
        loss, point = LOSSES[trial.point.loss], trial.point
        folder = _relative(folder)
        command = [str(_relative(ROOT / loss.command)), "--dataset", point.dataset]
        if root := self.data_root(point.dataset):
            command += ["--data_root", root]
        command += loss.options
        if loss.semantic:
            command += ["--embedding", self.embedding(point.loss, point.dataset)]
        command += ["--sgdr_max_lr", number(point.learning_rate), "--seed", str(point.seed)]
        if point.subset_seed:
            command += ["--subset_seed", str(point.subset_seed)]
        if trial.protocol == VALIDATION:
            command += ["--val_fraction", number(self.val_fraction)]
        command += self.options
        command += ["--history", str(folder / "history.csv")]
        command += ["--snapshot", str(folder / "snapshot.h5")]
        if self.save_models:
            command += ["--model_dump", str(folder / MODEL)]
        if self.gpus > 1:
            command += ["--gpus", str(self.gpus)]
        # Existing files are of the same trial: the sweep has checked that.
        return [*command, "--overwrite"]

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
                f"--losses {loss}: give --embeddings {dataset}=NAME|FILE, its class embeddings"
            )
        return known.get(dataset) or known[base]


def _relative(path: Path) -> Path:
    """Make a path relative to the current folder, in which trials run too, if it is inside."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def check_options(options: Sequence[str]) -> None:
    """Refuse options that a sweep sets itself.

    Raises:
        UsageError: one of them is passed on.
    """
    given = [option for option in options if option.split("=")[0] in RESERVED]
    if given:
        raise UsageError(f"{given[0]} after --: the sweep sets it for each trial by itself")
