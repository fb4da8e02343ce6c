"""Open-set recognition: images of classes that a model was not trained on."""

from dataclasses import dataclass
from pathlib import Path

SCORES = ("probability", "logit", "similarity", "distance", "relative_distance", "knn")
"""Scores of images, see ``evaluation.open_set.scores``."""


@dataclass(frozen=True)
class Entry:
    """One model to evaluate."""

    name: str  # name of the model in tables
    path: Path  # file of the model
    group: str  # models of the same group are averaged
    split: str | None  # name of a published open-set split
