"""Options for class embeddings and their losses, and which of them contradict each other.

Imports nothing heavy, like all of ``cli``.
"""

import argparse
import os

from cli.arguments import (
    non_negative_float,
    non_negative_int,
    positive,
    positive_float,
    refuse,
    user_path,
)
from cli.augmentation_options import MIXING
from embeddings import shipped
from embeddings.simplex import SIMPLEXES
from training.objectives import (
    DEFAULT_LOSS,
    EMBEDDING_LOSSES,
    LOSSES,
    MIXED_TARGETS,
    takes_normalized,
)
from utils import UsageError, unknown_name

GENERATED = ("onehot", *SIMPLEXES)
"""The class embeddings that can be generated for any data set."""

WITH_BACKGROUND = [name for name, loss in LOSSES.items() if loss.background]
WITH_MARGIN = [name for name, loss in LOSSES.items() if "margin" in loss.takes]


def add_embedding_options(group: argparse._ArgumentGroup) -> None:
    """Add the objective's options for ``learn_image_embeddings.py``."""
    _add_target_options(group)
    _add_loss_options(group)
    group.add_argument(
        "--cls_weight",
        type=non_negative_float,
        default=0.0,
        metavar="W",
        help="weight of the cross-entropy of a classifier on the embedding; 0: no classifier",
    )
    group.add_argument(
        "--cls_base",
        metavar="LAYER",
        help="name or index of the layer whose output the classifier takes; the input is layer 0, "
        "pixel normalization does not count (default: the embedding)",
    )


def _add_target_options(group: argparse._ArgumentGroup) -> None:
    scaled = [
        f"{name} {f'{loss.scale:g}' if loss.scale else 'the number of classes'}"
        for name, loss in EMBEDDING_LOSSES.items()
        if loss.scale != 1
    ]
    group.add_argument(
        "--embedding",
        required=True,
        type=_name_or_file,
        metavar="NAME|FILE",
        help=f"class embeddings: {', '.join(GENERATED)}; included ones, "
        f"{', '.join(shipped.embedding_names())}; or a file (.npz or a published pickle)",
    )
    group.add_argument(
        "--embedding_dim",
        type=positive,
        metavar="K",
        help=f"dimension of --embedding {' and '.join(SIMPLEXES)} (default: the number of features "
        "of the network; with --projection, the number of classes)",
    )
    group.add_argument(
        "--embedding_scale",
        type=positive_float,
        metavar="U",
        help="factor by which to scale all class embeddings, such as the radius of a simplex "
        f"(default: 1; with --loss {', '.join(scaled)})",
    )
    _add_projection_options(group)


def _name_or_file(text: str) -> str:
    names = (*GENERATED, *shipped.embedding_names())
    path = os.path.expanduser(text)
    is_path = os.path.dirname(path) or os.path.splitext(path)[1] or os.path.exists(path)
    if text not in names and not is_path:
        raise argparse.ArgumentTypeError(str(unknown_name("class embeddings", text, names)))
    return path


def _add_projection_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--projection",
        choices=("dam", "linear"),
        help="layers between features and embedding: dam: dense layers that increase the "
        "dimension; linear: one dense layer on the entire last feature map (default: a dense layer "
        "on the features if their dimension differs from the embedding's)",
    )
    group.add_argument(
        "--projection_layers",
        type=non_negative_int,
        metavar="L",
        help="dam: number of hidden layers (default: 1)",
    )


def _add_loss_options(group: argparse._ArgumentGroup) -> None:
    names = {loss.title: name for name, loss in EMBEDDING_LOSSES.items()}
    group.add_argument(
        "--loss",
        type=lambda text: names.get(text, text),  # "cosine", as sweeps call it
        choices=tuple(EMBEDDING_LOSSES),
        default=DEFAULT_LOSS,
        help="; ".join(f"{name}: {loss.help}" for name, loss in EMBEDDING_LOSSES.items()),
    )
    group.add_argument(
        "--margin",
        type=non_negative_float,
        metavar="M",
        help=f"margin of {' and '.join(WITH_MARGIN)}, in squared distance (default: a tenth of "
        f"the distance between two class embeddings, and {LOSSES['dsc_open'].margin:g})",
    )
    group.add_argument(
        "--background",
        metavar="DIR|DATASET",
        help=f"for {' and '.join(WITH_BACKGROUND)}: a folder or data set of images that belong to "
        "none of the classes; every batch gets as many of these as it has training images",
    )
    group.add_argument(
        "--background_root",
        type=user_path,
        metavar="DIR",
        help="folder of the data set --background (default: --data_root)",
    )
    group.add_argument(
        "--mixed_targets",
        choices=tuple(MIXED_TARGETS),
        help="what to minimize for images mixed by --cutmix or --mixup: "
        + "; ".join(f"{name}: {text}" for name, text in MIXED_TARGETS.items())
        + f" (default: {next(iter(MIXED_TARGETS))})",
    )


def _check_mixed_targets(args: argparse.Namespace) -> None:
    mixed = next((name for name in MIXING if getattr(args, name)), None)
    if not mixed:
        refuse(args, ("mixed_targets",), "needs --cutmix or --mixup")
    if mixed and args.background is not None:
        raise UsageError(f"--{mixed}: images of --background have no class to mix; leave one out")
    if args.mixed_targets == "normalized" and not takes_normalized(EMBEDDING_LOSSES[args.loss]):
        raise UsageError(
            f"--mixed_targets normalized: --loss {args.loss} compares with all class embeddings, "
            "but a mixture is not one; give --mixed_targets loss"
        )


def check_embedding_options(args: argparse.Namespace) -> None:
    """Refuse options of the objective that contradict each other."""
    if not args.cls_weight:
        refuse(args, ("cls_base",), "needs a classifier: give --cls_weight above 0")
    if args.embedding_dim is not None and args.embedding not in SIMPLEXES:
        raise UsageError(
            f"--embedding_dim: --embedding {args.embedding} has a fixed dimension; only that of "
            f"{' and '.join(SIMPLEXES)} can be chosen"
        )
    if args.projection != "dam":
        refuse(args, ("projection_layers",), "needs --projection dam")
    for option, losses in (("margin", WITH_MARGIN), ("background", WITH_BACKGROUND)):
        if args.loss not in losses:
            refuse(args, (option,), f"is for --loss {' and '.join(losses)}, not {args.loss}")
    if args.background is None:
        refuse(args, ("background_root",), "needs --background")
    _check_mixed_targets(args)
    normalization = EMBEDDING_LOSSES[args.loss].head
    if args.embedding_scale is not None and normalization:
        raise UsageError(
            f"--embedding_scale: --loss {args.loss} compares directions after {normalization}; use "
            "a loss without normalization, such as mse"
        )
    if args.loss == "softmax_corr" and args.embedding in SIMPLEXES:
        raise UsageError(
            f"--loss softmax_corr predicts by the largest element of class embeddings, but two "
            f"vectors of --embedding {args.embedding} may have theirs in the same place"
        )
