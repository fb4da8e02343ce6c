"""Match a data set with saved models: restrict it to their classes, use their image size."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from datasets.base import Dataset
from datasets.text.dataset import TextDataset
from datasets.text.vocabulary import Vocabulary
from models.files.description import ModelDescription
from utils import UsageError, listing

logger = logging.getLogger(__name__)


def matched(
    dataset: Dataset,
    models: Mapping[Path, ModelDescription],
    class_list: Sequence[str] | None = None,
    source: str = "--class_list",
) -> Dataset:
    """Return the data set with the classes that all models are evaluated on.

    Args:
        dataset: the data set with all its classes.
        models: descriptions by file.
        class_list: labels of the classes to evaluate on; by default those of the models, which
            must all know the same ones, in the order of the first model.
        source: option that gave ``class_list``, for messages.

    Raises:
        UsageError: a model or the data set lacks one of the classes, models know different ones,
            or a model was trained on other images or classes.
    """
    first, *_ = models
    labels = list(map(str, class_list or models[first].labels))
    for path, description in models.items():
        _check_known(labels, path, description, source if class_list else first)
    if dataset.train is None:
        dataset = _with_absent_classes(dataset, labels, models[first])
    try:
        restricted = dataset.restrict(labels)
    except UsageError as error:
        raise UsageError(f"{error}. They are those of {source if class_list else first}") from error
    for path, description in models.items():
        _check_same_kind(restricted, path, description)
    return restricted


def check_same_classes(
    path: Path, description: ModelDescription, wanted: Iterable[int | str], source: object
) -> None:
    """Raise UsageError unless a model knows exactly the ``wanted`` classes, those of ``source``."""
    learned, wanted = (set(map(str, labels)) for labels in (description.labels, wanted))
    if wanted != learned:
        raise UsageError(
            f"{path} knows {len(learned)} classes, {listing(sorted(learned))}; "
            f"those of {source} are {listing(sorted(wanted))}"
        )


def _check_known(
    labels: Sequence[str], path: Path, description: ModelDescription, source: Path | str
) -> None:
    """Refuse a model that lacks a class or, if the source is the first model, knows others."""
    known = set(description.names)
    if missing := [label for label in labels if label not in known]:
        raise UsageError(
            f"{path} does not know the classes {listing(missing)} of "
            f"{source}; it knows {listing(sorted(known))}"
        )
    if isinstance(source, Path) and len(known) > len(labels):
        raise UsageError(
            f"{path} knows {len(known)} classes, {source} {len(labels)} of them: to compare "
            "both, list those in a file for --class_list"
        )


def _with_absent_classes(
    dataset: Dataset, labels: Sequence[str], description: ModelDescription
) -> Dataset:
    """Add classes that the data set has no images of, and log those that the models do not know.

    Absent classes remain candidates, since accuracy would be too high without them.
    """
    present = set(map(str, dataset.labels))
    if unknown := sorted(present - set(labels)):
        logger.warning(
            "%s of %d classes of %s that the models do not know are left out: %s",
            dataset.noun,
            len(unknown),
            dataset.name,
            listing(unknown),
        )
    absent = tuple(label for label in labels if label not in present)
    return replace(
        dataset,
        labels=dataset.labels + absent,
        class_names=dataset.class_names + tuple(description.names[label] for label in absent),
    )


def _check_same_kind(dataset: Dataset, path: Path, description: ModelDescription) -> None:
    """Compare kind of samples and class names, as numeric labels may be equal by chance."""
    takes = "images" if description.words is None else "documents"
    if takes != dataset.noun:
        raise UsageError(f"{path} classifies {takes}; {dataset.name} has {dataset.noun}")
    if takes == "images" and dataset.channels != description.channels:
        raise UsageError(
            f"{path} takes images with {description.channels} channels; those of {dataset.name} "
            f"have {dataset.channels}"
        )
    names = description.names
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


def with_input_of(
    dataset: Dataset,
    description: ModelDescription,
    target_size: int | None = None,
    crop_size: int | None = None,
) -> Dataset:
    """Return the data set with the model's vocabulary, or with images of the requested size.

    By default, this is the model's. Data sets of small images, which are neither resized nor
    cropped, stay as they are.
    """
    if isinstance(dataset, TextDataset):
        return replace(dataset, vocabulary=Vocabulary(description.words, description.length))
    sizes = dataset.preprocessing
    wanted = (target_size or description.target_size, crop_size or description.crop_size)
    if sizes.train_size is None or (sizes.test_size, sizes.crop_size) == wanted:
        return dataset
    target, crop = wanted
    sizes = replace(sizes, train_size=target, test_size=target, crop_size=crop)
    return replace(dataset, preprocessing=sizes)
