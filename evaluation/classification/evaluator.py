"""Judging saved models on a test split: matching classes and sizes, then one pass over the images.

Training images are only read for classifiers that learn from them.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import keras
import numpy as np

from datasets.base import Split
from datasets.batches import Batches
from datasets.images.dataset import ImageDataset
from evaluation.classification.accuracy import all_figures
from evaluation.classification.classifiers import METHODS, Request, method_name
from evaluation.features import compute, watching
from models.files.description import ModelDescription
from utils import UsageError, UserError, listing

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reading:
    """How images are read and the network is run.

    Attributes:
        batch_size: images per batch.
        workers: threads that read images.
        queue_size: batches read in advance.
        jit_compile: whether the network is compiled.
        verbose: 1 shows progress bars.
        augmentation_epochs: augmented passes over the training images; 0: one without.
        seed: of the augmentation.
    """

    batch_size: int = 100
    workers: int = 1
    queue_size: int = 10
    jit_compile: bool = False
    verbose: int = 0
    augmentation_epochs: int = 0
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Judged:
    """What became of one model.

    Attributes:
        name: of the model in tables.
        file: of the model.
        method: how it classified, in words.
        figures: accuracies in [0, 1] by name, None where there is none.
        predicted: class positions, int (test images,).
    """

    name: str
    file: Path
    method: str
    figures: dict[str, float | None]
    predicted: np.ndarray


def matched(
    dataset: ImageDataset,
    models: Mapping[Path, ModelDescription],
    class_list: Sequence[str] | None = None,
) -> ImageDataset:
    """The data set with the classes that all models are judged on.

    Args:
        dataset: with all its classes.
        models: descriptions by file.
        class_list: labels of those classes; by default those that every model knows, in the order
            of the first model.

    Raises:
        UsageError: a model or the data set lacks one of the classes, models know different ones,
            or a model was trained on other images or classes.
    """
    first, *_ = models
    labels = list(map(str, class_list or models[first].labels))
    for path, description in models.items():
        known = set(map(str, description.labels))
        if missing := [label for label in labels if label not in known]:
            raise UsageError(
                f"{path} does not know the classes {listing(missing)} of "
                f"{'--class_list' if class_list else first}; it knows {listing(sorted(known))}"
            )
        if not class_list and len(known) > len(labels):
            raise UsageError(
                f"{path} knows {len(known)} classes, {first} {len(labels)} of them: to compare "
                "both, list those in a file for --class_list"
            )
    restricted = _restricted(dataset, labels, first)
    for path, description in models.items():
        _check_same_kind(restricted, path, description)
    return restricted


def _restricted(dataset: ImageDataset, labels: Sequence[str], path: Path) -> ImageDataset:
    try:
        return dataset.restrict(labels)
    except UsageError as error:
        raise UsageError(
            f"{error}. They are those of {path}, or of --class_list, which restricts both"
        ) from error


def _check_same_kind(dataset: ImageDataset, path: Path, description: ModelDescription) -> None:
    """Labels are often mere numbers, so that those of other data sets may happen to match."""
    if dataset.channels != description.channels:
        raise UsageError(
            f"{path} takes images with {description.channels} channels; those of {dataset.name} "
            f"have {dataset.channels}"
        )
    names = dict(zip(map(str, description.labels), description.class_names, strict=True))
    pairs = [
        (names[str(label)], name)
        for label, name in zip(dataset.labels, dataset.class_names, strict=True)
        if str(label) not in (name, names[str(label)])  # not named at all
    ]
    different = [pair for pair in pairs if pair[0] != pair[1]]
    if not different:
        return
    message = (
        f"{len(different)} of {dataset.num_classes} classes have other names in {path}, trained on "
        f"{description.dataset}, than in {dataset.name}: {different[0][0]!r} is {different[0][1]!r}"
    )
    if len(different) == len(pairs):
        raise UsageError(message)
    logger.warning(message)


def with_sizes_of(
    dataset: ImageDataset,
    description: ModelDescription,
    target_size: int | None = None,
    crop_size: int | None = None,
) -> ImageDataset:
    """The data set with images of the size that the model was trained on.

    Data sets of small images, which are neither resized nor cropped, stay as they are.

    Args:
        dataset: with images of any size.
        description: of the model.
        target_size: pixels to take instead of those of the model.
        crop_size: the same.
    """
    sizes = dataset.preprocessing
    wanted = (target_size or description.target_size, crop_size or description.crop_size)
    if sizes.crop_size is None or (sizes.test_size, sizes.crop_size) == wanted:
        return dataset
    target, crop = wanted
    sizes = replace(sizes, train_size=target, test_size=target, crop_size=crop)
    return replace(dataset, preprocessing=sizes)


def judge(
    name: str,
    file: Path,
    method: str,
    request: Request,
    dataset: ImageDataset,
    similarities: Mapping[str, np.ndarray],
    reading: Reading,
) -> Judged:
    """Classifies the test split with one model.

    Args:
        name: of the model in tables.
        file: of the model.
        method: a key of ``METHODS``.
        request: the model and what to classify with.
        dataset: its classes are those of the request.
        similarities: of classes by name, see ``evaluation.classification.accuracy.all_figures``.
        reading: how images are read.

    Raises:
        UsageError: the method does not fit the model.
        UserError: an image cannot be read, or the network yields values that are not finite.
    """
    classifier = METHODS[method](request)
    network = watching(request.model, classifier.tensor, reading.jit_compile)
    read = partial(_features, file, network, reading)
    truth = dataset.test.labels
    if classifier.learns:
        passes = [
            read(dataset.train, dataset.train_transform, epoch)
            for epoch in range(reading.augmentation_epochs)
        ] or [read(dataset.train, dataset.test_transform)]
        classifier.fit(np.concatenate(passes), np.tile(dataset.train.labels, len(passes)))
    scores = classifier.scores(read(dataset.test, dataset.test_transform))
    figures = all_figures(scores, truth, similarities)
    return Judged(name, file, method_name(method, request), figures, scores.argmax(axis=1))


def _features(
    file: Path,
    network: keras.Model,
    reading: Reading,
    split: Split,
    prepare: Callable[[np.ndarray, np.random.Generator], np.ndarray],
    epoch: int = 0,
) -> np.ndarray:
    """The output of a network for every image of a split, in its order."""
    batches = Batches(
        split,
        prepare,
        reading.batch_size,
        seed=reading.seed,
        workers=reading.workers,
        max_queue_size=reading.queue_size,
    )
    batches.set_epoch(epoch)
    try:
        features = compute(network, batches, reading.verbose)
    finally:
        batches.close()
    if not np.isfinite(features).all():
        raise UserError(f"{file} computes values that are not finite for some images")
    return features
