"""Classify a test split with saved models, after fitting classifiers that need training images."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets.images.dataset import ImageDataset
from evaluation.classification.accuracy import all_accuracies
from evaluation.classification.classifiers import (
    METHODS,
    Classifier,
    MethodArgs,
    method_name,
    other_decisions,
)
from evaluation.classification.evaluator import Evaluator, Head
from evaluation.features import finite
from evaluation.loading import LoaderOptions


@dataclass(frozen=True, eq=False)
class Result:
    """Evaluation results of one model."""

    name: str  # name of the model in tables
    file: Path  # file of the model
    method: str  # classification method, in words
    metrics: dict[str, float | None]  # accuracies in [0, 1] by name, None if undefined
    predicted: np.ndarray  # class positions, int (test images,)


def evaluate_model(
    name: str,
    file: Path,
    method: str,
    args: MethodArgs,
    dataset: ImageDataset,
    similarities: Mapping[str, np.ndarray],
    loader: LoaderOptions,
) -> Result:
    """Classify the test split with one model.

    Args:
        name: name of the model in tables.
        file: file of the model.
        method: a key of ``METHODS``.
        args: the model, and the arguments of the method.
        dataset: data set with the classes of ``args``.
        similarities: see ``all_accuracies``.
        loader: options for reading images.

    Raises:
        UsageError: the method does not fit the model.
        UserError: an image cannot be read, or the network yields values that are not finite.
    """
    classifier = METHODS[method](args)
    others = other_decisions(classifier) if method == "own" else {}
    heads = [_head(*each, file) for each in (*others.items(), (name, classifier))]
    evaluator = Evaluator(args.model, heads, jit_compile=loader.jit_compile)
    if classifier.learns:
        features = finite(_training_features(evaluator, dataset, loader), file)
        classifier.fit(features, np.tile(dataset.train.labels, loader.augmentation_epochs))
    with loader.batches(dataset.test, dataset.test_transform) as batches:
        found = evaluator(batches, loader.verbose)
    scores = found.scores
    metrics = all_accuracies(scores, dataset.test.labels, similarities)
    metrics |= {f"accuracy_{other}": found.values[f"{other}_acc"] for other in others}
    return Result(name, file, method_name(method, args), metrics, scores.argmax(axis=1))


def _head(name: str, classifier: Classifier, file: Path) -> Head:
    return Head(name, classifier.tensor, lambda values: classifier.scores(finite(values, file)))


def _training_features(
    evaluator: Evaluator, dataset: ImageDataset, loader: LoaderOptions
) -> np.ndarray:
    augmented = loader.augmentation_epochs > 1
    transform = dataset.train_transform if augmented else dataset.test_transform
    passes = []
    for epoch in range(loader.augmentation_epochs):
        with loader.batches(dataset.train, transform, epoch) as batches:
            passes += evaluator.compute(batches, loader.verbose)
    return np.concatenate(passes)
