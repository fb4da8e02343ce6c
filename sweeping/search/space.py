"""The search space of ``learn_folder.py``: what varies, and the command of each candidate.

Imports nothing heavy, like ``sweeping.grid``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from sweeping.grid import LOSSES, number

OBJECTIVES = ("cosine+xent", "xent", "cosine", "xent+ls")
"""Keys of ``LOSSES`` to try; the search begins with the first ones."""

AUGMENTATIONS: dict[str, tuple[str, ...]] = {
    "plain": (),
    "resized-crops": ("--crop_scale", "0.4", "1"),
    # timm's translations are relative: the original ones are by 90 pixels at this magnitude.
    "randaugment": ("--randaugment", "timm:2:9"),
    "cutmix": ("--cutmix", "1"),
    "mixup": ("--mixup", "0.2"),
}
"""Options by name, in addition to the data set's own crops, mirroring and erasing."""

EMA = (0.0, 0.99)
"""Decays of the moving average of the weights; 0: no average."""

LEARNING_RATES = (0.01, 1.0)
WEIGHT_DECAYS = (1e-5, 1e-2)
"""Ranges, sampled on a logarithmic scale."""

_FIRST_RATE, _FIRST_DECAY = 0.1, 5e-4
_CROP_RATIO = 8 / 7  # of the shorter side to the side of the crop


@dataclass(frozen=True)
class Candidate:
    """A point of the space."""

    objective: str  # a key of LOSSES
    learning_rate: float  # of the first step, with cosine decay to zero
    weight_decay: float
    size: int  # side of the images in pixels
    augmentation: str  # a key of AUGMENTATIONS
    ema: float  # decay of the moving average of the weights; 0: no average

    @classmethod
    def of(cls, config: Mapping[str, object]) -> "Candidate":
        """Return the candidate with a configuration, with rates rounded to three digits.

        Raises:
            ValueError: it is not in this space; it may come from an earlier version.
        """
        if config["objective"] not in OBJECTIVES or config["augmentation"] not in AUGMENTATIONS:
            raise ValueError(f"not of this space: {config}")
        rounded = {name: float(f"{config[name]:.3g}") for name in ("learning_rate", "weight_decay")}
        return cls(**{**config, **rounded})

    @property
    def config(self) -> dict[str, object]:
        """The values by name."""
        return asdict(self)

    @property
    def name(self) -> str:
        """Name of its folder."""
        rates = f"lr{number(self.learning_rate)}_wd{number(self.weight_decay)}"
        ema = f"_ema{number(self.ema)}" if self.ema else ""
        return f"{self.objective}_{rates}_{self.size}px_{self.augmentation}{ema}"

    @property
    def title(self) -> str:
        """Name in messages."""
        ema = f", averaged by {number(self.ema)}" if self.ema else ""
        return (
            f"{self.objective}, rate {number(self.learning_rate)}, decay "
            f"{number(self.weight_decay)}, {self.size} px, {self.augmentation}{ema}"
        )

    def command(self, data_root: Path, options: Sequence[str], folder: Path) -> list[str]:
        """Return the name of the command that trains it, and its arguments.

        Args:
            data_root: folder with the parts ``train`` and ``test``.
            options: shared by all candidates.
            folder: for history and snapshot.
        """
        loss = LOSSES[self.objective]
        target_size = round(self.size * _CROP_RATIO)
        command = [loss.command, "--dataset", "Folder", "--data_root", str(data_root)]
        command += loss.options
        command += ["--target_size", str(target_size), "--crop_size", str(self.size)]
        command += ["--lr_schedule", "Cosine", "--cosine_max_lr", number(self.learning_rate)]
        command += ["--weight_decay", number(self.weight_decay)]
        command += AUGMENTATIONS[self.augmentation]
        command += ["--ema", number(self.ema)]
        command += options
        command += ["--history", str(folder / "history.csv")]
        command += ["--snapshot", str(folder / "snapshot.h5")]
        # Existing files are of the same candidate.
        return [*command, "--no_progress", "--overwrite"]


def first_candidates(sizes: Sequence[int]) -> list[Candidate]:
    """Return the candidates that a search begins with: two objectives with common settings."""
    common = (
        _FIRST_RATE,
        _FIRST_DECAY,
        sorted(sizes)[len(sizes) // 2],
        next(iter(AUGMENTATIONS)),
        EMA[0],
    )
    return [Candidate(objective, *common) for objective in OBJECTIVES[:2]]


def distributions(sizes: Sequence[int]) -> dict[str, object]:
    """Return the distributions from which Optuna samples."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    return {
        "objective": CategoricalDistribution(OBJECTIVES),
        "learning_rate": FloatDistribution(*LEARNING_RATES, log=True),
        "weight_decay": FloatDistribution(*WEIGHT_DECAYS, log=True),
        "size": CategoricalDistribution(tuple(sizes)),
        "augmentation": CategoricalDistribution(tuple(AUGMENTATIONS)),
        "ema": CategoricalDistribution(EMA),
    }
