"""Evaluation of one model on images of known and unknown classes, in one pass over each."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import keras

from datasets.images.dataset import ImageDataset
from evaluation.loading import LoaderOptions
from evaluation.open_set import Entry
from evaluation.open_set.metrics import Curve, evaluate
from evaluation.open_set.scores import Scorer, Training


@dataclass(frozen=True, eq=False)
class Result:
    """Evaluation results of one model and one score."""

    model: str  # name of the model
    file: Path  # file of the model
    group: str  # models of one group are averaged
    split: str  # which classes are known, in words
    score: str  # one of evaluation.open_set.SCORES
    images: tuple[int, int]  # numbers of images of known and of unknown classes
    metrics: dict[str, float]  # see evaluation.open_set.metrics.evaluate
    curve: Curve  # over all distinct scores


def evaluate_model(
    entry: Entry,
    split: str,
    model: keras.Model,
    scorer: Scorer,
    known: ImageDataset,
    unknown: ImageDataset,
    fprs: Sequence[float],
    loader: LoaderOptions,
) -> list[Result]:
    """Evaluate a model by all of its scores.

    Args:
        entry: the model.
        split: which classes it knows, in words.
        model: its network.
        scorer: scores of this network.
        known: data set with the classes of the model, in the same order.
        unknown: data set of other classes, with images of the same shape.
        fprs: FPRs at which to compute CCR.
        loader: options for reading images, which are not augmented.

    Raises:
        UserError: an image cannot be read, or the network yields values that are not finite.
    """
    network = keras.Model(model.inputs, list(scorer.tensors.values()))
    outputs = partial(loader.compute, network, entry.path)
    training = None
    if scorer.learns:
        features, *_ = outputs(known.train, known.test_transform)
        training = Training.of(features, known.train.labels)
    accepted = scorer.rate(outputs(known.test, known.test_transform), training)
    refused = scorer.rate(outputs(unknown.test, unknown.test_transform), training)
    images = len(known.test), len(unknown.test)
    results = []
    for score, rated in accepted.items():
        values = rated.scores, rated.predicted == known.test.labels, refused[score].scores
        metrics, curve = evaluate(*values, fprs), Curve.exact(*values)
        about = entry.name, entry.path, entry.group, split
        results.append(Result(*about, score, images, metrics, curve))
    return results
