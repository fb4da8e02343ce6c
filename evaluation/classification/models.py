"""Classification by saved models; training images are read for classifiers that learn from them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets.base import Split
from datasets.batches import Batches
from datasets.images.dataset import ImageDataset
from evaluation.classification.accuracy import all_accuracies
from evaluation.classification.classifiers import (
    METHODS,
    Classifier,
    Request,
    method_name,
    other_decisions,
)
from evaluation.classification.evaluator import Evaluator, Head
from utils import UserError


@dataclass(frozen=True)
class LoaderOptions:
    """How images are read and the network is run.

    Attributes:
        batch_size: images per batch.
        workers: threads that read images.
        queue_size: batches read in advance.
        jit_compile: whether the network is compiled.
        verbose: 1 shows progress bars.
        augmentation_epochs: augmented passes over the training images; 1: one without.
        seed: of the augmentation.
    """

    batch_size: int = 100
    workers: int = 1
    queue_size: int = 10
    jit_compile: bool = False
    verbose: int = 0
    augmentation_epochs: int = 1
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Result:
    """Evaluation results of one model.

    Attributes:
        name: of the model in tables.
        file: of the model.
        method: how it classified, in words.
        metrics: accuracies in [0, 1] by name, None where there is none.
        predicted: class positions, int (test images,).
    """

    name: str
    file: Path
    method: str
    metrics: dict[str, float | None]
    predicted: np.ndarray


def evaluate_model(
    name: str,
    file: Path,
    method: str,
    request: Request,
    dataset: ImageDataset,
    similarities: Mapping[str, np.ndarray],
    loader: LoaderOptions,
) -> Result:
    """Classify the test split with one model.

    Args:
        name: of the model in tables.
        file: of the model.
        method: a key of ``METHODS``.
        request: the model and what to classify with.
        dataset: its classes are those of the request.
        similarities: of classes by name, see ``evaluation.classification.accuracy.all_accuracies``.
        loader: how images are read.

    Raises:
        UsageError: the method does not fit the model.
        UserError: an image cannot be read, or the network yields values that are not finite.
    """
    classifier = METHODS[method](request)

    def finite(features: np.ndarray) -> np.ndarray:
        if not np.isfinite(features).all():
            raise UserError(f"{file} computes values that are not finite for some images")
        return features

    def head(name: str, by: Classifier) -> Head:
        return Head(name, by.tensor, lambda features: by.scores(finite(features)))

    others = other_decisions(classifier) if method == "own" else {}
    heads = [*(head(*each) for each in others.items()), head(name, classifier)]
    evaluator = Evaluator(request.model, heads, jit_compile=loader.jit_compile)

    def run(run_pass: Callable, split: Split, transform: Callable, epoch: int = 0) -> object:
        batches = Batches(
            split,
            transform,
            loader.batch_size,
            seed=loader.seed,
            workers=loader.workers,
            max_queue_size=loader.queue_size,
        )
        batches.set_epoch(epoch)
        try:
            return run_pass(batches, loader.verbose)
        finally:
            batches.close()

    if classifier.learns:
        augmented = loader.augmentation_epochs > 1
        transform = dataset.train_transform if augmented else dataset.test_transform
        passes = [
            run(evaluator.compute, dataset.train, transform, epoch)[0]
            for epoch in range(loader.augmentation_epochs)
        ]
        features = finite(np.concatenate(passes))
        classifier.fit(features, np.tile(dataset.train.labels, len(passes)))
    found = run(evaluator, dataset.test, dataset.test_transform)
    scores = found.scores
    metrics = all_accuracies(scores, dataset.test.labels, similarities)
    metrics |= {f"accuracy_{other}": found.values[f"{other}_acc"] for other in others}
    return Result(name, file, method_name(method, request), metrics, scores.argmax(axis=1))
