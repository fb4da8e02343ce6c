"""Classifiers on top of a trained network, which turn features of images into class scores.

A classifier has ``tensor``, the tensor of the network that provides its features; ``learns``,
whether it must be fitted to training images by ``fit(features, labels)``; and ``scores(features)``,
float (images, classes), of which the largest one decides.
"""

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace

import keras
import numpy as np
from keras import KerasTensor, ops

from embeddings import ClassEmbeddings
from evaluation.features import feature_tensor, normalized
from models.decisions import DECISIONS, is_softmax
from models.files.description import ModelDescription
from utils import UsageError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class MethodArgs:
    """Arguments of a classification method."""

    model: keras.Model
    description: ModelDescription
    # Original labels of the classes to choose from, in the order of the scores
    labels: tuple[int | str, ...]
    # Name or index of the layer with the features, as text; None: the embedding
    layer: str | None = None
    norm: bool = False  # whether features are scaled to unit length
    # One vector per class to compare features with, or None
    centroids: ClassEmbeddings | None = None
    cost: float = 0.1  # C of the support vector machine
    seed: int = 0  # seed of the support vector machine


@dataclass
class Comparison:
    """Scores by a fixed rule, mostly by comparing features with one vector per class."""

    tensor: KerasTensor  # its features
    decision: str  # a key of DECISIONS
    vectors: np.ndarray | None  # float32 (all classes, dimensions), or None for the rule "output"
    columns: np.ndarray  # int (classes,), positions of the scores to return, in their order
    norm: bool = False  # whether features are scaled to unit length first

    learns = False

    def scores(self, features: np.ndarray) -> np.ndarray:
        features = normalized(features) if self.norm else features
        scores = DECISIONS[self.decision].scores(features, self.vectors)
        return ops.convert_to_numpy(scores)[:, self.columns]


@dataclass
class LinearSVM:
    """A linear support vector machine, one-vs-rest (scikit-learn's LinearSVC)."""

    tensor: KerasTensor  # its features
    cost: float  # C, the weight of errors relative to that of the margin
    seed: int  # seed of the order of the images during optimization
    # Whether features are scaled to unit length first; otherwise each is divided by its largest
    # absolute value in training
    norm: bool = False

    learns = True

    def fit(self, features: np.ndarray, labels: np.ndarray) -> None:
        """Fit the machine to features (images, dimensions) and class positions (images,).

        Raises:
            UsageError: there is only one class.
        """
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.svm import LinearSVC

        if len(np.unique(labels)) < 2:
            raise UsageError("a support vector machine needs two classes or more")
        largest = np.abs(features).max(axis=0)
        self._scale = np.where(largest > 0, largest, 1)
        self._machine = LinearSVC(C=self.cost, dual="auto", random_state=self.seed)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            self._machine.fit(self._prepared(features), labels)
        if any(issubclass(warning.category, ConvergenceWarning) for warning in caught):
            logger.warning("the support vector machine has not converged; a lower --C may help")

    def scores(self, features: np.ndarray) -> np.ndarray:
        margins = self._machine.decision_function(self._prepared(features))
        # With two classes, there is a single margin, that of the second.
        return margins if margins.ndim == 2 else np.stack([-margins, margins], axis=1)

    def _prepared(self, features: np.ndarray) -> np.ndarray:
        return normalized(features) if self.norm else features / self._scale


Classifier = Comparison | LinearSVM


def own_decision(args: MethodArgs) -> Classifier:
    """Return the classifier by the decision rule that the model was trained for."""
    output = args.description.classifying
    return Comparison(args.model.outputs[-1], output.decision, output.class_vectors, _columns(args))


def other_decisions(classifier: Classifier) -> dict[str, Classifier]:
    """Return classifiers by other comparisons with class vectors, for models that use distances.

    They are returned by decision. The published code of the Deep Simplex Classifier always
    evaluates all three comparisons.
    """
    if not isinstance(classifier, Comparison) or classifier.decision != "distance":
        return {}
    return {name: replace(classifier, decision=name) for name in ("cosine", "distance_cosine")}


def nearest_centroid(args: MethodArgs) -> Classifier:
    """Return a classifier by the nearest centroid, in squared Euclidean distance.

    Raises:
        UsageError: a class has no centroid, or centroids and features differ in dimension.
    """
    tensor = feature_tensor(args.model, args.layer)
    centroids = args.centroids.restrict(args.labels)
    if tensor.shape[-1] != centroids.dimensions:
        raise UsageError(
            f"the features have {tensor.shape[-1]} dimensions, but the centroids "
            f"{centroids.dimensions}"
        )
    return Comparison(tensor, "distance", centroids.vectors, np.arange(len(args.labels)), args.norm)


def svm_on_features(args: MethodArgs) -> Classifier:
    """Return a linear SVM on the embedding or another layer."""
    tensor = feature_tensor(args.model, args.layer)
    return LinearSVM(tensor, args.cost, args.seed, args.norm)


def largest_value(args: MethodArgs) -> Classifier:
    """Return a classifier by the largest output of a layer with one unit per class of the model.

    The layer is that of the class probabilities, unless ``args`` name another.

    Raises:
        UsageError: the model has no probabilities, or the layer has another number of units.
    """
    if args.layer is not None:
        tensor = feature_tensor(args.model, args.layer)
    elif _has_probabilities(args.model):
        tensor = args.model.outputs[-1]
    else:
        raise UsageError(
            "--prob_features: the model has no class probabilities, "
            f"it classifies by its layer {args.description.classifying.name}"
        )
    classes = len(args.description.labels)
    if tensor.shape[-1] != classes:
        raise UsageError(
            f"--prob_features: the layer {args.layer} has {tensor.shape[-1]} values for "
            f"{classes} classes"
        )
    return Comparison(tensor, "output", None, _columns(args))


def _columns(args: MethodArgs) -> np.ndarray:
    """Return the positions, in the model, of the classes to choose from."""
    known = {str(label): i for i, label in enumerate(args.description.labels)}
    return np.array([known[str(label)] for label in args.labels])


def _has_probabilities(model: keras.Model) -> bool:
    return is_softmax(model.get_layer(model.output_names[-1]))


METHODS: dict[str, Callable[[MethodArgs], Classifier]] = {
    "own": own_decision,
    "centroids": nearest_centroid,
    "svm": svm_on_features,
    "prob_features": largest_value,
}
"""Classification methods by the option that selects them; ``"own"`` without an option."""


def method_name(method: str, args: MethodArgs) -> str:
    """Return the name of the method for this model in tables."""
    output = args.description.classifying
    if method == "own":
        if comparison := DECISIONS[output.decision].comparison:
            return f"class embedding ({comparison})"
        return "probability" if _has_probabilities(args.model) else "largest output"
    if method == "centroids":
        return "centroid (L2)"
    if method == "prob_features":
        return f"largest of {args.layer or output.name}"
    return f"SVM on {args.layer}" if args.layer else "SVM"
