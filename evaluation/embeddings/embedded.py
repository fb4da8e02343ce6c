"""Features of one model for samples of known and unknown classes."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import keras
import numpy as np

from datasets.base import Split, Transform
from evaluation.features import class_means, feature_tensor, has_embedding
from evaluation.loading import LoaderOptions
from models.decisions import DECISIONS, DISTANCE
from models.files.description import ModelDescription


@dataclass(frozen=True, eq=False)
class Embedded:
    """Samples embedded by a model."""

    name: str  # name of the model
    vectors: np.ndarray  # float32 (samples, dimensions), finite
    labels: np.ndarray  # int (samples,), class positions, all of which occur
    known: np.ndarray  # bool (classes,), whether the model was trained on the class
    # float (classes, dimensions), vectors that features of a class are trained to equal; NaN if
    # there are none
    targets: np.ndarray
    metric: str = "euclidean"  # metric by which the model decides, one of METRICS

    @cached_property
    def means(self) -> np.ndarray:
        """Mean features of the samples of each class, float64 (classes, dimensions)."""
        return class_means(self.vectors, self.labels, len(self.known))


def embed(
    name: str,
    model: keras.Model,
    description: ModelDescription,
    split: Split,
    transform: Transform,
    labels: Sequence[int | str],
    layer: str | None,
    loader: LoaderOptions,
) -> Embedded:
    """Compute the features of samples.

    Args:
        name: name of the model.
        model: the network.
        description: description of its classes and outputs.
        split: the samples.
        transform: their transform.
        labels: original labels of the classes of the split.
        layer: layer that outputs the features; None: the embedding, see ``feature_tensor``.
        loader: options for reading samples.

    Raises:
        UsageError: there is no such layer.
        UserError: a sample cannot be read, or features are not finite.
    """
    network = keras.Model(model.inputs, feature_tensor(model, layer))
    (vectors,) = loader.compute(network, name, split, transform)
    position = {str(label): i for i, label in enumerate(description.labels)}
    rows = np.array([position.get(str(label), -1) for label in labels])
    targets = np.full((len(rows), vectors.shape[1]), np.nan)
    metric = "euclidean"
    if has_embedding(model) and layer is None:
        targets[rows >= 0] = description.class_embeddings[rows[rows >= 0]]
        decision = DECISIONS[description.outputs[0].decision]
        metric = "euclidean" if decision.kind == DISTANCE else "cosine"
    return Embedded(name, vectors, split.labels, rows >= 0, targets, metric)
