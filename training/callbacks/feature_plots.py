"""Plots of the features of validation or test samples during training."""

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from evaluation.embeddings.embedded import Embedded
from evaluation.embeddings.plane import in_plane
from evaluation.embeddings.scatter import plot_scatter
from training.callbacks.failures import survived
from training.callbacks.validation import Validation
from utils import UserError


class FeaturePlots(keras.callbacks.Callback):
    """Plot the features that the validation callback has already computed.

    Args:
        folder: where to write one PNG per plotted epoch.
        every: plot every so many epochs, and the last one.
        validation: the callback with the features; must come before this one.
        class_names: names of the classes.
        targets: class embeddings that the features are trained towards, (classes, dimensions), or
            None.

    Attributes:
        error: why the last plot could not be written, or None.
    """

    def __init__(
        self,
        folder: Path,
        every: int,
        validation: Validation,
        class_names: Sequence[str],
        targets: np.ndarray | None,
    ):
        super().__init__()
        self.folder = folder
        self.every = every
        self.validation = validation
        self.class_names = class_names
        self.targets = targets
        self.error: UserError | None = None

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        number, last = epoch + 1, self.params["epochs"]
        metrics = self.validation.metrics
        # Features that are not finite cannot be plotted.
        if metrics is None or metrics.diverged or (number % self.every and number != last):
            return
        title = f"epoch {number} of {last}"
        path = self.folder / f"epoch-{number:04d}.png"
        with survived(self):
            self._draw(path, title, metrics.features)

    def _draw(self, path: Path, title: str, features: np.ndarray) -> None:
        labels = self.validation.batches.split.labels
        known = np.ones(len(self.class_names), bool)
        targets = self.targets
        if targets is None:
            targets = np.full((len(known), features.shape[1]), np.nan)
        embedded = Embedded(title, features, labels, known, targets)
        plot_scatter(path, [in_plane(embedded)], [title], labels, [known], self.class_names)
