"""Train image embeddings towards fixed class embeddings: cosine loss, MSE, with cross-entropy."""

import argparse
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cli import console, data_options, learning, training_options
from cli.arguments import non_negative_float, non_negative_int, positive, positive_float, user_path
from datasets.base import Dataset
from embeddings import ClassEmbeddings, load_class_embeddings, onehot, shipped
from embeddings.simplex import SIMPLEXES
from training.objectives import DEFAULT_LOSS, EMBEDDING_LOSSES, LOSSES
from training.options import TrainingOptions
from training.parallel.group import Group
from utils import UsageError

if TYPE_CHECKING:
    import keras

    from datasets.base import Split

GENERATED = ("onehot", *SIMPLEXES)
"""The class embeddings that are made for the classes of any data set."""

WITH_BACKGROUND = [name for name, loss in LOSSES.items() if loss.background]
WITH_MARGIN = [name for name, loss in LOSSES.items() if "margin" in loss.takes]


def build_parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    return learning.build_parser(__doc__, finetune_init=8, add_objective=_add_objective)


def _add_objective(group: argparse._ArgumentGroup) -> None:
    scaled = [
        f"{name} {f'{loss.scale:g}' if loss.scale else 'the number of classes'}"
        for name, loss in EMBEDDING_LOSSES.items()
        if loss.scale != 1
    ]
    group.add_argument(
        "--embedding",
        required=True,
        type=os.path.expanduser,
        metavar="NAME|FILE",
        help=f"{', '.join(GENERATED)}; a shipped one, {', '.join(shipped.embedding_names())}; or a "
        "file of class embeddings (.npz or a published pickle)",
    )
    group.add_argument(
        "--embedding_dim",
        type=positive,
        metavar="K",
        help=f"dimensions of --embedding {' and '.join(SIMPLEXES)} (default: the features of the "
        "network; with --projection, the number of classes)",
    )
    group.add_argument(
        "--embedding_scale",
        type=positive_float,
        metavar="U",
        help="factor to all class embeddings: the radius of a simplex (default: 1; with --loss "
        f"{', '.join(scaled)})",
    )
    group.add_argument(
        "--loss",
        choices=tuple(EMBEDDING_LOSSES),
        default=DEFAULT_LOSS,
        help="; ".join(f"{name}: {loss.help}" for name, loss in EMBEDDING_LOSSES.items()),
    )
    group.add_argument(
        "--projection",
        choices=("dam", "linear"),
        help="dam: dense layers that raise the dimension of the features; linear: one dense layer "
        "on the whole last feature map (default: a dense layer on the features if their number "
        "differs from that of the embedding)",
    )
    group.add_argument(
        "--projection_layers",
        type=non_negative_int,
        metavar="L",
        help="dam: hidden layers in front of the last one (default: 1)",
    )
    group.add_argument(
        "--margin",
        type=non_negative_float,
        metavar="M",
        help=f"of {' and '.join(WITH_MARGIN)}, in squared distance (default: a tenth of the "
        f"distance of two class embeddings; {LOSSES['dsc_open'].margin:g})",
    )
    group.add_argument(
        "--background",
        metavar="DIR|DATASET",
        help=f"images of none of the classes that every batch gets as many of, for "
        f"{' and '.join(WITH_BACKGROUND)}: a folder, or a data set",
    )
    group.add_argument(
        "--background_root",
        type=user_path,
        metavar="DIR",
        help="folder of the data set --background (default: --data_root)",
    )
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
        help="name or index of the layer that the classifier stands on; the input is layer 0, the "
        "normalization of pixels is not counted (default: the embedding)",
    )


def read_data(args: argparse.Namespace) -> tuple[Dataset, ClassEmbeddings | None]:
    """Return the data set with the classes that have embeddings; None for generated ones."""
    semantic = None if args.embedding in GENERATED else load_class_embeddings(args.embedding)
    dataset = data_options.open_dataset(args)
    if semantic:
        dataset = dataset.restrict(semantic.shared_labels(dataset.labels, dataset.name))
    return dataset, semantic


def learn(args: argparse.Namespace) -> None:
    """Train as the options say."""
    from training import setup

    _check(args)
    options = training_options.from_args(args)
    with setup.begun(options) as group:
        _learn(args, options, group)


def _check(args: argparse.Namespace) -> None:
    """Refuse options of the objective that do not fit each other."""
    if args.cls_base is not None and not args.cls_weight:
        raise UsageError("--cls_base needs a classifier: give --cls_weight above 0")
    if args.embedding_dim is not None and args.embedding not in SIMPLEXES:
        raise UsageError(
            f"--embedding_dim: the dimensions of --embedding {args.embedding} are given; only "
            f"those of {' and '.join(SIMPLEXES)} are free"
        )
    if args.projection_layers is not None and args.projection != "dam":
        raise UsageError("--projection_layers are those of --projection dam")
    if args.margin is not None and args.loss not in WITH_MARGIN:
        raise UsageError(f"--margin is for --loss {' and '.join(WITH_MARGIN)}, not {args.loss}")
    if args.background is not None and args.loss not in WITH_BACKGROUND:
        raise UsageError(
            f"--background is for --loss {' and '.join(WITH_BACKGROUND)}, not {args.loss}"
        )
    normalization = EMBEDDING_LOSSES[args.loss].head
    if args.embedding_scale is not None and normalization:
        raise UsageError(
            f"--embedding_scale: --loss {args.loss} compares directions, its embeddings pass "
            f"{normalization}; give it with a loss without normalization, such as mse"
        )
    if args.loss == "softmax_corr" and args.embedding in SIMPLEXES:
        raise UsageError(
            f"--loss softmax_corr decides by the largest element of class embeddings, which two "
            f"vectors of --embedding {args.embedding} may have in the same place"
        )


def _learn(args: argparse.Namespace, options: TrainingOptions, group: Group) -> None:
    from models.heads import classifier_head, embedding_head
    from models.initialization import initialize
    from training.loop import Training, train
    from training.objectives.objective import embedding_objective

    dataset, semantic = read_data(args)
    background = _background(args, dataset, group)
    dataset = data_options.keep_images(args, dataset)
    backbone, targets = _network_and_targets(args, dataset, semantic)
    model = embedding_head(backbone, EMBEDDING_LOSSES[args.loss].head)
    if args.cls_weight > 0:
        model = classifier_head(model, len(dataset.labels), args.cls_base)
    initialize(model, options.seed, dataset.input_weights)
    objective = embedding_objective(
        *(targets, args.loss, args.cls_weight, args.margin, background is not None)
    )
    train(Training(model, dataset, objective, options, vars(args), group, background))


def _background(args: argparse.Namespace, dataset: Dataset, group: Group) -> "Split | None":
    from datasets.background import open_background

    if args.background is None:
        return None
    if group.replicas > 1:
        raise UsageError("--background: its images are not shared among several GPUs or machines")
    return open_background(args.background, args.background_root or args.data_root, dataset)


def _network_and_targets(
    args: argparse.Namespace, dataset: Dataset, semantic: ClassEmbeddings | None
) -> tuple["keras.Model", ClassEmbeddings]:
    """Return the network up to its embedding, and class embeddings of as many dimensions."""
    from models import build_network
    from models.projections import project

    def targets_in(dimensions: int | None) -> ClassEmbeddings:
        if semantic:
            return semantic.restrict(dataset.labels)
        if args.embedding == "onehot":
            return onehot(dataset.labels)
        return SIMPLEXES[args.embedding](dataset.labels, dimensions)

    dimensions = args.embedding_dim or (len(dataset.labels) if args.projection else None)
    follows_features = args.embedding in SIMPLEXES and dimensions is None
    targets = None if follows_features else targets_in(dimensions)
    network = build_network(
        args.architecture,
        None if args.projection or not targets else targets.dimensions,
        classifier=False,
        input_shape=dataset.input_shape,
        **dataset.input_options,
    )
    if args.projection:
        depth = 1 if args.projection_layers is None else args.projection_layers
        size = (targets.dimensions, depth, dataset.input_shape)
        network = project(network, args.projection, *size)
    targets = targets or targets_in(network.output_shape[-1])
    scale = args.embedding_scale or EMBEDDING_LOSSES[args.loss].scale or len(dataset.labels)
    return network, targets.scaled(scale)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return learning.run(build_parser(), learn, argv)


if __name__ == "__main__":
    console.end_process(main)
