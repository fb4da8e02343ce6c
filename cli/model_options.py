"""Options about models: values for several of them, and facts about published model files."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from cli import class_options
from cli.arguments import finite_float, known, positive, refuse, user_path
from datasets.images.dataset import ImageDataset, published_input
from datasets.images.normalization import Normalization
from datasets.names import parse_name
from embeddings import ClassEmbeddings, load_class_embeddings
from models import check_architecture
from utils import UsageError, listing, repeated

if TYPE_CHECKING:
    from models.files.published import Facts

Value = TypeVar("Value")

_ONLY_PUBLISHED = ("mean", "std", "dataset", "classes_from", "target_size", "crop_size")


def add_architecture_options(parser: argparse.ArgumentParser, several: bool) -> None:
    """Add the options for facts that files saved by the published code lack.

    ``several`` allows one architecture per model.
    """
    group = parser.add_argument_group("models saved by the published code")
    group.add_argument(
        "--architecture",
        type=known(check_architecture),
        metavar="NAME",
        help="the network, which is not named in such files; it is rebuilt, and its weights are "
        "loaded by layer name" + (", one for all models or one for each" if several else ""),
        **({"nargs": "+", "action": "extend"} if several else {}),
    )
    for option, name in (("mean", "mean"), ("std", "standard deviation")):
        group.add_argument(
            f"--{option}",
            type=finite_float,
            nargs="+",
            metavar="V",
            help=f"{name} of the pixels per channel, RGB, from 0 to 255 (default: that of "
            "--dataset)",
        )


def add_file_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--model`` and, for files saved by the published code, the facts that these lack."""
    parser.add_argument(
        "--model",
        required=True,
        type=user_path,
        help="file written by --model_dump, here or by the published code",
    )
    add_architecture_options(parser, several=False)
    group = parser.add_argument_group("more about models saved by the published code")
    class_options.add_classes_from(
        group, "the classes that the model was trained on (default: numbered from 0)"
    )
    add = group.add_argument
    add(
        "--dataset",
        type=known(parse_name),
        metavar="NAME",
        help="data set that the model was trained on, for its mean, standard deviation and image "
        "size, if published; its files are not needed",
    )
    add("--target_size", type=positive, metavar="PX", help="resize the shorter side to PX")
    add("--crop_size", type=positive, metavar="PX", help="crop squares of this size")


def facts_from_options(args: argparse.Namespace) -> "Facts | None":
    """Return what the options say about a file saved by the published code.

    Returns None without ``--architecture``, that is, for a model of this project.

    Raises:
        UsageError: an option is missing, or given for a model of this project.
        UserError: the class embeddings cannot be read.
    """
    from models.files.configurations import input_side
    from models.files.description import find_description
    from models.files.published import Facts

    if not args.architecture:
        because = "is for models saved by the published code: give --architecture"
        refuse(args, _ONLY_PUBLISHED, because)
        return None
    if find_description(args.model):
        because = f"is for models saved by the published code; {args.model} is of this project"
        refuse(args, ("architecture",), because)
    published = published_input(args.dataset) if args.dataset else None
    normalization = _normalization(args, published and published.normalization)
    sizes = published.preprocessing if published else None
    crop = args.crop_size or (sizes.crop_size if sizes else input_side(args.model))
    if crop is None:
        raise UsageError(f"{args.model} does not state its image size: give --crop_size")
    embeddings = load_class_embeddings(args.classes_from) if args.classes_from else None
    return Facts(
        architecture=args.architecture,
        dataset=args.dataset or "an unknown data set",
        channels=len(normalization.mean),
        mean=normalization.mean,
        std=normalization.std,
        bgr=normalization.bgr,
        target_size=args.target_size or (sizes.test_size if sizes else crop),
        crop_size=crop,
        labels=embeddings and embeddings.labels,
        vectors=embeddings and embeddings.vectors,
    )


def facts_from_dataset(
    args: argparse.Namespace,
    architecture: str,
    dataset: ImageDataset,
    embeddings: ClassEmbeddings | None,
) -> "Facts":
    """Return the facts that a file saved by the published code lacks, from its data set.

    Args:
        args: parsed options with ``mean`` and ``std``.
        architecture: name of the network.
        dataset: the data set with all classes, and mean and standard deviation if known.
        embeddings: class embeddings of the training; None: it had all classes of the data set.
    """
    from models.files.published import Facts

    normalization = _normalization(args, dataset.normalization)
    labels = map(str, dataset.labels)
    return Facts(
        architecture=architecture,
        dataset=dataset.name,
        **dataset.inference_options,
        mean=normalization.mean,
        std=normalization.std,
        bgr=normalization.bgr,
        labels=embeddings.labels if embeddings else dataset.labels,
        class_names=dict(zip(labels, dataset.class_names, strict=True)),
        vectors=embeddings.vectors if embeddings else None,
    )


def _normalization(args: argparse.Namespace, default: Normalization | None) -> Normalization:
    given = [option for option in ("mean", "std") if getattr(args, option)]
    if len(given) == 1:
        raise UsageError(f"--{given[0]} is alone: give both --mean and --std")
    if not given and default is None:
        raise UsageError(
            f"mean and standard deviation of {args.dataset or 'the training images'} are not "
            "published: give --mean R G B --std R G B"
        )
    if not given:
        return default
    if len(args.mean) != len(args.std) or len(args.mean) not in (1, 3):
        raise UsageError("--mean and --std take one number per channel: 3 for color, 1 for gray")
    if min(args.std) <= 0:
        raise UsageError(f"--std {min(args.std):g}: standard deviations must be above 0")
    return Normalization(tuple(args.mean), tuple(args.std))


def add_yes_no(group, name: str, text: str) -> None:
    """Add an option that takes yes or no, one for all models or one for each; empty means yes."""
    group.add_argument(
        name,
        nargs="*",
        action="extend",
        choices=("yes", "no"),
        help=f"yes or no, one for all models or one for each: {text} (default: no)",
    )


def yes_or_no(option: str, values: Sequence[str] | None, models: int) -> list[bool]:
    """Return the values of an option from ``add_yes_no``, one for each model."""
    if values is None:
        return [False] * models
    return [value == "yes" for value in per_model(option, values or ["yes"], models)]


def model_names(paths: Sequence[Path], labels: Sequence[str] | None) -> list[str]:
    """Return the names of the models: ``labels`` if given, otherwise their file names.

    Raises:
        UsageError: there are more or fewer names than files, or a name occurs twice.
    """
    if labels is None:
        stems = [path.stem for path in paths]
        labels = stems if len(set(stems)) == len(stems) else [str(path) for path in paths]
    elif len(labels) != len(paths):
        raise UsageError(f"--label: {len(labels)} names for {len(paths)} models")
    if twice := repeated(labels):
        raise UsageError(f"--label: several models have the same name, {listing(twice)}")
    return list(labels)


def per_model(option: str, values: Sequence[Value], models: int) -> list[Value]:
    """Return one value for each model, given one for all or one for each.

    Raises:
        UsageError: the number of values is neither 1 nor ``models``.
    """
    if len(values) not in (1, models):
        raise UsageError(f"{option}: {len(values)} values for {models} models")
    return list(values) * (models if len(values) == 1 else 1)
