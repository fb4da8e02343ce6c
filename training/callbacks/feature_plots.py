"""Pictures of the features of test or validation samples while training."""

import logging
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from evaluation.embeddings.embedded import Embedded
from evaluation.embeddings.plane import in_plane
from evaluation.embeddings.scatter import plot_scatter
from training.callbacks.validation import Validation
from utils import UserError

logger = logging.getLogger(__name__)


class FeaturePlots(keras.callbacks.Callback):
    """Draw the features that the validation has computed, so that nothing is computed for it.

    Args:
        folder: where pictures go, one per epoch.
        every: number of epochs after which one is drawn, besides the last epoch.
        validation: stands before this one; its samples are drawn.
        class_names: of the classes.
        targets: what features of a class are trained to be, (classes, dimensions); None: nothing
            of the kind.

    Attributes:
        error: why the last picture could not be written, if so.
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
        # The features of a network that diverged have no place in a picture.
        if metrics is None or metrics.diverged or (number % self.every and number != last):
            return
        title = f"epoch {number} of {last}"
        path = self.folder / f"epoch-{number:04d}.png"
        try:
            self._draw(path, title, metrics.features)
            self.error = None
        except UserError as error:
            logger.error("%s; training goes on", error)
            self.error = error

    def _draw(self, path: Path, title: str, features: np.ndarray) -> None:
        labels = self.validation.batches.split.labels
        known = np.ones(len(self.class_names), bool)
        targets = self.targets
        if targets is None:
            targets = np.full((len(known), features.shape[1]), np.nan)
        embedded = Embedded(title, features, labels, known, targets)
        plot_scatter(path, [in_plane(embedded)], [title], labels, [known], self.class_names)
