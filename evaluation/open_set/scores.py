"""Scores that say how well an image fits the classes that a model knows, all from one pass.

=================  =================================================================================
score              largest value over the known classes of
=================  =================================================================================
probability        the class probability (Hendrycks and Gimpel, 2017)
logit              the logit, the input of the softmax (Vaze et al., 2022)
similarity         the similarity of embedding and class embedding by which the model decides:
                   cosine or dot product; the cosine if it decides by distance
distance           minus the squared distance of features and class embedding (Cevikalp et al.,
                   "Deep simplex classifier", 2022) or, for a plain classifier, mean training
                   features
relative_distance  the same for class embeddings, divided by the norm of the squared distances to
                   all of them ("b9" in the code of Cevikalp et al.)
knn                minus the distance to the k-th nearest training image, features scaled to unit
                   length (Sun et al., "Out-of-distribution detection with deep nearest neighbors",
                   2022)
=================  =================================================================================

The class with the largest value is predicted. knn predicts the most frequent class among the k
nearest images; ties go to the class of the nearest one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Self

import keras
import numpy as np
from keras import KerasTensor, layers, ops
from scipy.spatial.distance import cdist
from scipy.special import softmax

from evaluation.features import class_means, feature_tensor, has_embedding, normalized
from evaluation.open_set import SCORES
from models.decisions import DECISIONS, DOT, is_softmax
from models.files.description import ModelDescription
from utils import UsageError


@dataclass(frozen=True, eq=False)
class Rated:
    """Values of one score, and predicted classes."""

    scores: np.ndarray  # float (images,)
    predicted: np.ndarray  # int (images,), positions of known classes


@dataclass(frozen=True, eq=False)
class Training:
    """Features of training images."""

    means: np.ndarray  # float (known classes, dimensions), of each class
    unit: np.ndarray  # float (images, dimensions), scaled to unit length
    labels: np.ndarray  # int (images,), positions of known classes

    @classmethod
    def of(cls, features: np.ndarray, labels: np.ndarray) -> Self:
        """Summarize features (images, dimensions) by labels, all of which occur."""
        means = class_means(features, labels, labels.max() + 1)
        return cls(means, normalized(features), labels)


_TINY = 1e-12

Rule = Callable[[dict[str, np.ndarray], Training | None], Rated]
"""Function of network outputs for images, by name, and of training features."""


@dataclass(frozen=True, eq=False)
class Scorer:
    """The scores that a model supports."""

    # Tensors of the network to compute for every image, by name; "features" first
    tensors: dict[str, KerasTensor]
    rules: dict[str, Rule]  # by the name of the score
    learns: bool  # whether any of them needs training images

    def rate(
        self, outputs: Sequence[np.ndarray], training: Training | None = None
    ) -> dict[str, Rated]:
        """Rate images by every score.

        Args:
            outputs: values of ``tensors`` in their order, (images, dimensions) each.
            training: needed if the scorer ``learns``.
        """
        values = dict(zip(self.tensors, outputs, strict=True))
        return {name: rule(values, training) for name, rule in self.rules.items()}


def scorer(
    model: keras.Model,
    description: ModelDescription,
    wanted: Sequence[str] | None,
    neighbors: int,
) -> Scorer:
    """Return the requested scores that a model supports.

    Args:
        model: the network.
        description: description of its outputs.
        wanted: some of ``SCORES``; None: all.
        neighbors: k of the score ``knn``.

    Raises:
        UsageError: the model supports none of them.
    """
    tensors, rules = {"features": feature_tensor(model)}, {}
    last = model.get_layer(model.output_names[-1])
    if isinstance(last, layers.Dense) and is_softmax(last):
        tensors["logits"] = _logits(last)
        rules |= {"probability": _probability, "logit": _logit}
    if has_embedding(model):
        decision, vectors = description.outputs[0].decision, description.class_embeddings
        rules["similarity"] = partial(_similarity, decision, vectors)
        rules["distance"] = partial(_distance, vectors)
        rules["relative_distance"] = partial(_relative_distance, vectors)
    else:
        rules["distance"] = _distance_to_means
    rules["knn"] = partial(_neighborhood, neighbors)
    chosen = {name: rules[name] for name in SCORES if name in rules and name in (wanted or SCORES)}
    if not chosen:
        raise UsageError(f"it has no score {' or '.join(wanted)}, but {', '.join(rules)}")
    learns = "knn" in chosen or chosen.get("distance") is _distance_to_means
    return Scorer(tensors, chosen, learns)


def _logits(layer: layers.Dense) -> KerasTensor:
    """Return the logits of a layer, before its softmax."""
    linear = layers.Dense(layer.units, use_bias=layer.use_bias, dtype="float32")
    linear.build(layer.input.shape)
    linear.set_weights(layer.get_weights())
    return linear(layer.input)


def _largest(class_scores: np.ndarray) -> Rated:
    return Rated(class_scores.max(axis=1), class_scores.argmax(axis=1))


def _probability(values: dict[str, np.ndarray], _: Training | None) -> Rated:
    """Compute in double precision, where fewer probabilities are rounded to 1."""
    return _largest(softmax(np.float64(values["logits"]), axis=1))


def _logit(values: dict[str, np.ndarray], _: Training | None) -> Rated:
    return _largest(values["logits"])


def _similarity(
    decision: str, vectors: np.ndarray, values: dict[str, np.ndarray], _: Training | None
) -> Rated:
    rule = DECISIONS[decision if DECISIONS[decision].kind == DOT else "cosine"]
    return _largest(ops.convert_to_numpy(rule.complete(values["features"], vectors)))


def _distance(vectors: np.ndarray, values: dict[str, np.ndarray], _: Training | None) -> Rated:
    """Compute in double precision: class vectors may be a thousand times longer than distances."""
    return _largest(-cdist(values["features"], vectors, "sqeuclidean"))


def _relative_distance(
    vectors: np.ndarray, values: dict[str, np.ndarray], _: Training | None
) -> Rated:
    squared = cdist(values["features"], vectors, "sqeuclidean")
    return _largest(-squared / np.maximum(np.linalg.norm(squared, axis=1, keepdims=True), _TINY))


def _distance_to_means(values: dict[str, np.ndarray], training: Training) -> Rated:
    return _distance(training.means, values, training)


def _neighborhood(neighbors: int, values: dict[str, np.ndarray], training: Training) -> Rated:
    from sklearn.neighbors import NearestNeighbors

    if neighbors > len(training.labels):
        raise UsageError(
            f"{neighbors} nearest neighbors are more than the {len(training.labels)} training "
            "images"
        )
    search = NearestNeighbors(n_neighbors=neighbors, algorithm="brute").fit(training.unit)
    distances, found = search.kneighbors(normalized(values["features"]))
    labels = training.labels[found]
    votes = np.stack([(labels == column[:, np.newaxis]).sum(axis=1) for column in labels.T])
    best = votes.argmax(axis=0)  # the first, which is the nearest
    return Rated(-distances[:, -1], labels[np.arange(len(labels)), best])
