"""Data sets by name; ``get_dataset`` is the only entry point.

To add a data set, decorate a function that takes a ``ReaderArgs`` and returns a ``RawDataset`` (see
``base``) with ``@DATASETS.register("Name")`` in a new file, and import that below.
"""

from pathlib import Path

from datasets.base import DATASETS, Dataset, ReaderArgs, check_classes
from datasets.holdout import check_folds, with_fold, with_validation
from datasets.images.dataset import image_dataset
from datasets.names import parse_name
from datasets.readers import (  # noqa: F401 (register)
    ag_news,
    cars,
    cifar,
    cub_nab,
    digits,
    faces,
    flowers,
    folder,
    gem,
    ilsvrc,
    inat,
    mit67,
    mnist,
    orl,
    svhn,
    tiny_imagenet,
    vipriors,
)
from datasets.subsets import with_subset
from datasets.text.dataset import RawTextDataset, text_dataset
from utils import UsageError

__all__ = ["MAX_LENGTH", "MAX_WORDS", "dataset_names", "get_dataset"]

MAX_WORDS, MAX_LENGTH = 50_000, 64
"""Defaults for documents: 98 % of the words of AG News are among the first 50,000 of GloVe, and
97 % of its documents have no more than 64 words."""


def dataset_names() -> list[str]:
    """Return the names of all data sets, without suffixes."""
    return DATASETS.names()


def get_dataset(
    name: str,
    root: str | Path | None = None,
    *,
    subset_seed: int = 0,
    repeats: int | None = None,
    test_fraction: float | None = None,
    target_size: int | tuple[int, int] | None = None,
    crop_size: int | None = None,
    val_fraction: float | None = None,
    folds: int | None = None,
    fold: int | None = None,
    all_test: bool = False,
    word_vectors: str | Path | None = None,
    max_words: int = MAX_WORDS,
    max_length: int = MAX_LENGTH,
) -> Dataset:
    """Read a data set.

    Args:
        name: a name from ``dataset_names()``, in any case, with suffixes in any order:
            ``-subN`` keeps N training images of each class, ``-ilsvrcmean`` and ``-caffe`` use
            another normalization, ``-large`` resizes to 512 pixels and crops to 448.
        root: folder of the data set, for those that are read from files.
        subset_seed: seed of the random choice of images for ``-subN``, ``test_fraction``,
            ``val_fraction`` and ``folds``, non-negative.
        repeats: passes over the training images in an epoch, at least 1; None: one, or for subsets
            the number that keeps the iterations per epoch about the same as with all images.
        test_fraction: for folders without a split, fraction of the images used for testing, in
            (0, 1).
        target_size: pixels of the shorter side, or a range (low, high) to draw it from in
            training; then tests use low.
        crop_size: height and width of the crop in pixels; None: as published, or 7/8 of
            ``target_size``.
        val_fraction: fraction of the training images of each class (of a subset: of its images)
            to hold out for validation, in (0, 1); None: none, unless the data set has a validation
            split.
        folds: number of equal parts of the training images of each class, at least 2, of which the
            part ``fold``, from 0, is held out for validation instead.
        all_test: whether all images of a folder are for testing.
        word_vectors: source of word vectors for documents, see ``read_word_vectors``; None: the
            vocabulary is that of a model.
        max_words: size of the vocabulary, most frequent words first.
        max_length: maximum number of words that are read of a document.

    Raises:
        UsageError: the name does not exist, or an argument does not fit the data set.
        UserError: the files are missing or damaged.
    """
    parsed = parse_name(name)
    check_folds(folds, fold)
    if test_fraction is not None and parsed.base not in ("Faces", "Folder"):
        raise UsageError(f"{parsed.base} has a fixed split, so there can be no test fraction")
    if all_test and (parsed.base != "Folder" or parsed.per_class):
        raise UsageError(f"--all requires --dataset Folder, not {name}")
    part = {"part": parsed.part} if parsed.part else {}
    root = None if root is None else Path(root)
    args = ReaderArgs(root, parsed.per_class, subset_seed, test_fraction, all_test)
    raw = DATASETS.get(parsed.base)(args, **part)
    if isinstance(raw, RawTextDataset):
        if target_size is not None or crop_size is not None:
            raise UsageError(f"{name} has documents, not images of any size")
        dataset = text_dataset(name, parsed, raw, word_vectors, max_words, max_length)
    else:
        for option, value, default in (
            ("word_vectors", word_vectors, None),
            ("max_words", max_words, MAX_WORDS),
            ("max_length", max_length, MAX_LENGTH),
        ):
            if value != default:
                raise UsageError(f"--{option} {value}: {name} has images, not documents")
        dataset = image_dataset(name, parsed, raw, target_size, crop_size)
    check_classes(dataset)
    if all_test:
        return dataset
    dataset = with_subset(dataset, raw, parsed.per_class, subset_seed, repeats)
    if val_fraction is not None:
        return with_validation(dataset, val_fraction, subset_seed)
    if folds is not None:
        return with_fold(dataset, folds, fold, subset_seed)
    return dataset
