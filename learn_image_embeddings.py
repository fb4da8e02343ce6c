"""Train image embeddings towards fixed class embeddings, with the cosine loss or another one."""

import argparse
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cli import console, data_options, embedding_options, learning, training_options
from cli.embedding_options import GENERATED
from datasets.base import Dataset
from datasets.class_weights import class_weights
from embeddings import ClassEmbeddings, load_class_embeddings, onehot
from embeddings.simplex import SIMPLEXES
from training.objectives import EMBEDDING_LOSSES
from training.options import TrainingOptions
from training.parallel.group import Group
from utils import UsageError

if TYPE_CHECKING:
    import keras

    from datasets.base import Split


def build_parser() -> argparse.ArgumentParser:
    """Build the argument parser."""
    return learning.build_parser(
        __doc__, finetune_init=8, add_objective=embedding_options.add_embedding_options
    )


def read_data(args: argparse.Namespace) -> tuple[Dataset, ClassEmbeddings | None]:
    """Open the data set, restricted to classes that have an embedding, and the class embeddings.

    The latter are None if they can be generated for any classes.
    """
    semantic = None if args.embedding in GENERATED else load_class_embeddings(args.embedding)
    dataset = data_options.open_dataset(args)
    if semantic:
        dataset = dataset.restrict(semantic.shared_labels(dataset.labels, dataset.name))
    return dataset, semantic


def learn(args: argparse.Namespace) -> None:
    """Train a network according to the options."""
    from training import setup

    embedding_options.check_embedding_options(args)
    options = training_options.from_args(args)
    with setup.begun(options) as group:
        _learn(args, options, group)


def _learn(args: argparse.Namespace, options: TrainingOptions, group: Group) -> None:
    from models.heads import classifier_head, embedding_head
    from models.initialization import initialize
    from training.loop import train
    from training.objectives.objective import embedding_objective
    from training.run import Training

    dataset, semantic = read_data(args)
    background = _background(args, dataset, group)
    dataset = data_options.keep_images(args, dataset)
    backbone, targets = _network_and_targets(args, dataset, semantic)
    model = embedding_head(backbone, EMBEDDING_LOSSES[args.loss].head)
    if args.cls_weight > 0:
        model = classifier_head(model, len(dataset.labels), args.cls_base)
    initialize(model, options.seed, dataset.input_weights)
    objective = embedding_objective(
        targets,
        args.loss,
        args.cls_weight,
        args.margin,
        with_background=background is not None,
        mixed=(args.mixed_targets or "loss") if dataset.mixing else None,
    ).weighted(class_weights(args.class_weights, dataset))
    train(Training(model, dataset, objective, options, vars(args), group, background))


def _background(args: argparse.Namespace, dataset: Dataset, group: Group) -> "Split | None":
    from datasets.background import open_background

    if args.background is None:
        return None
    if group.replicas > 1:
        raise UsageError("--background works on a single GPU of a single machine only")
    if args.background_root and os.path.isdir(os.path.expanduser(args.background)):
        raise UsageError(f"--background_root: {args.background} is a folder, not a data set")
    return open_background(args.background, args.background_root or args.data_root, dataset)


def _network_and_targets(
    args: argparse.Namespace, dataset: Dataset, semantic: ClassEmbeddings | None
) -> tuple["keras.Model", ClassEmbeddings]:
    """Build the network up to its embedding, and class embeddings of the same dimension."""
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
        **training_options.convolutions(args),
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
