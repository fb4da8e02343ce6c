"""Options that add to a data set's default augmentation of training images.

Imports nothing heavy, like ``cli``.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from cli.arguments import (
    fraction,
    is_given,
    non_negative_float,
    positive,
    positive_float,
    refuse,
)
from datasets.base import Dataset
from datasets.images.bands import has_bands
from datasets.images.dataset import ImageDataset
from utils import UsageError

if TYPE_CHECKING:
    from datasets.base import Mixing
    from datasets.images.augmentation.randaugment import RandAugment

DEFAULT_JITTER = 0.4  # timm's
MIXING = ("cutmix", "mixup")
OPTIONS = ("randaugment", "crop_scale", "color_jitter", "vflip", "erasing", *MIXING)
_OF_LEVELS = ("randaugment", "color_jitter")  # operations of Pillow
_TIMM, _TIMM_MOST = "timm", 10


def add_augmentation_options(parser: argparse.ArgumentParser) -> None:
    """Add the augmentation options."""
    add = parser.add_argument_group("augmentation of training images").add_argument
    add(
        "--randaugment",
        nargs="+",
        metavar=("N", "M"),
        help="RandAugment with N operations of magnitude M (10 is strong), as originally "
        "published; timm:N:M: timm's variant",
    )
    add(
        "--crop_scale",
        nargs=2,
        type=fraction,
        metavar=("MIN", "MAX"),
        help="random resized crops: crop a random region with this share of the area, then resize "
        "it; replaces shifts and zooms",
    )
    add(
        "--color_jitter",
        nargs="?",
        type=positive_float,
        const=DEFAULT_JITTER,
        metavar="S",
        help="change brightness, contrast and saturation by random factors from 1 - S to 1 + S "
        f"({DEFAULT_JITTER} if not given)",
    )
    add("--vflip", action="store_true", help="flip half of the images top to bottom")
    add(
        "--erasing",
        type=_erasing,
        metavar="off|P",
        help="probability of random erasing (default: that of the data set)",
    )
    _add_mixing_options(add)


def _add_mixing_options(add: Callable) -> None:
    add(
        "--cutmix",
        type=positive_float,
        metavar="ALPHA",
        help="CutMix: paste a rectangle of another image, with an area from Beta(ALPHA, ALPHA)",
    )
    add(
        "--cutmix_prob",
        type=fraction,
        metavar="P",
        help="share of batches to which CutMix is applied (default: 1)",
    )
    add(
        "--mixup",
        type=positive_float,
        metavar="ALPHA",
        help="MixUp: blend with another image, with a weight from Beta(ALPHA, ALPHA)",
    )


def _erasing(text: str) -> float:
    return 0.0 if text == "off" else fraction(text)


def check_augmentation_options(args: argparse.Namespace) -> None:
    """Check the augmentation options.

    Raises:
        UsageError: options contradict each other, or a value is invalid.
    """
    augment = _randaugment(args)
    if augment and augment.variant == _TIMM and args.color_jitter:
        raise UsageError("--color_jitter: replaced by --randaugment timm; leave one out")
    if args.crop_scale:
        low, high = args.crop_scale
        if not 0 < low <= high:
            raise UsageError(f"--crop_scale {low:g} {high:g}: MIN must be above 0 and at most MAX")
    if args.cutmix and args.mixup:
        raise UsageError("--cutmix and --mixup exclude each other; leave one out")
    if not args.cutmix:
        refuse(args, ("cutmix_prob",), "needs --cutmix ALPHA")


def _randaugment(args: argparse.Namespace) -> "RandAugment | None":
    if args.randaugment is None:
        return None
    from datasets.images.augmentation.randaugment import RandAugment

    words = args.randaugment
    variant = "original"
    if len(words) == 1 and words[0].startswith(f"{_TIMM}:"):
        variant, *words = words[0].split(":")
    given = " ".join(args.randaugment)
    if len(words) != 2:
        raise UsageError(f"--randaugment {given}: give N M, or {_TIMM}:N:M")
    try:
        count, magnitude = positive(words[0]), non_negative_float(words[1])
    except argparse.ArgumentTypeError as error:
        raise UsageError(f"--randaugment {given}: {error}") from error
    if variant == _TIMM and magnitude > _TIMM_MOST:
        raise UsageError(f"--randaugment {given}: {_TIMM}'s magnitudes go up to {_TIMM_MOST}")
    return RandAugment(count, magnitude, variant)


def _mixing(args: argparse.Namespace) -> "Mixing | None":
    from datasets.images.augmentation.mixing import CutMix, MixUp

    if args.cutmix:
        return CutMix(args.cutmix, 1.0 if args.cutmix_prob is None else args.cutmix_prob)
    return MixUp(args.mixup) if args.mixup else None


def augmented(args: argparse.Namespace, dataset: Dataset) -> Dataset:
    """Return the data set with the augmentation from the options.

    Raises:
        UsageError: the data set has no images, or not of the kind that an option is for.
    """
    given = [name for name in OPTIONS if is_given(args, name)]
    if not given:
        return dataset
    if not isinstance(dataset, ImageDataset):
        raise UsageError(f"--{given[0]}: {dataset.name} has documents, not images")
    if has_bands(dataset.channels) and (refused := [name for name in _OF_LEVELS if name in given]):
        raise UsageError(
            f"--{refused[0]}: the images of {dataset.name} have {dataset.channels} bands; this is "
            "for gray and RGB images of 8 bits"
        )
    changes = {"randaugment": _randaugment(args), "jitter": args.color_jitter or 0.0}
    if args.vflip:
        changes["vflip"] = 0.5
    if args.erasing is not None:
        changes["erasing"] = args.erasing
    if args.crop_scale:
        # Crops are taken from images in their original size, in which they are then cached.
        changes |= {"crop_scale": tuple(args.crop_scale), "train_size": None}
    preprocessing = replace(dataset.preprocessing, **changes)
    return replace(dataset, preprocessing=preprocessing, mixing=_mixing(args))
