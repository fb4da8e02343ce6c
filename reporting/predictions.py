"""Predictions of a saved network for the test images, and its worst mistakes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets.base import Dataset
from datasets.images.bands import has_bands
from datasets.images.dataset import ImageDataset
from evaluation.classification.matching import matched, with_input_of
from evaluation.loading import LoaderOptions
from evaluation.prediction import Classifier
from models.files.saved import load_model


@dataclass(frozen=True, eq=False)
class Mistake:
    """A misclassified test image."""

    name: str  # of the image
    truth: int  # class position
    predicted: int  # class position
    margin: float  # score of the predicted class minus that of the true class
    pixels: np.ndarray  # input of the network, uint8 (height, width, channels)


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predictions of a network for the test images."""

    class_names: tuple[str, ...]
    labels: np.ndarray  # int (images,), true class positions
    predicted: np.ndarray  # int (images,)
    score_kind: str
    worst: tuple[Mistake, ...]  # the largest margin first


def predict(file: Path, dataset: Dataset, batch_size: int, most: int) -> Predictions:
    """Classify the test split of a data set.

    Args:
        file: model file.
        dataset: the data set.
        batch_size: images that are computed at once.
        most: number of mistakes to show; none of documents and images of many bands.

    Raises:
        UserError: the model or an image cannot be read.
    """
    model, description = load_model(file)
    classifier = Classifier(model, description)
    dataset = with_input_of(matched(dataset, {file: description}), description)
    test, scores = dataset.test, []
    with LoaderOptions(batch_size).batches(test, dataset.test_transform) as batches:
        scores = np.concatenate([classifier.scores(batches[i][0]) for i in range(len(batches))])
    predicted = scores.argmax(axis=1)
    rows = np.arange(len(scores))
    margins = scores[rows, predicted] - scores[rows, test.labels]
    margins[predicted == test.labels] = -np.inf
    visible = isinstance(dataset, ImageDataset) and not has_bands(dataset.channels)
    shown = min(most, int(np.isfinite(margins).sum())) if visible else 0
    order = np.argsort(-margins, kind="stable")[:shown]
    worst = tuple(
        Mistake(
            test.names[i],
            int(test.labels[i]),
            int(predicted[i]),
            float(margins[i]),
            np.asarray(dataset.test_transform(test[i])),
        )
        for i in order
    )
    return Predictions(dataset.class_names, test.labels, predicted, classifier.score_kind, worst)
