"""Options about classes that several commands share: taxonomies and class lists."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from cli.arguments import user_path
from embeddings.shipped import taxonomy_names
from embeddings.taxonomy.files import read_taxonomy
from embeddings.taxonomy.tree import Label, Taxonomy
from utils import read_lines


def add_hierarchy_options(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """Add the taxonomy options."""
    add = parser.add_argument_group("taxonomy").add_argument
    add(
        "--hierarchy",
        required=required,
        metavar="NAME|FILE",
        help=f"name of an included taxonomy, {', '.join(taxonomy_names())}; or a file: an outline "
        "in the same format, or one pair of IDs per line, PARENT CHILD",
    )
    add("--is_a", action="store_true", help="lines are CHILD PARENT instead of PARENT CHILD")
    add("--str_ids", action="store_true", help="IDs are text instead of numbers")


def add_class_list(parser: argparse.ArgumentParser, meaning: str) -> None:
    """Add the option ``--class_list``, with its ``meaning`` as help text."""
    parser.add_argument(
        "--class_list",
        type=user_path,
        help=f"{meaning}; the first word of each line is a class label",
    )


def add_classes_from(parser: argparse._ActionsContainer, meaning: str) -> None:
    """Add the option ``--classes_from``, with its ``meaning`` as help text."""
    parser.add_argument(
        "--classes_from",
        metavar="NAME|FILE",
        help=f"file of class embeddings, or the name of included ones: {meaning}",
    )


def open_taxonomy(args: argparse.Namespace) -> tuple[Taxonomy, tuple[Label, ...]]:
    """Read the taxonomy and the labels of the classes to use, by default all leaves."""
    taxonomy = read_taxonomy(args.hierarchy, args.is_a, args.str_ids)
    if not args.class_list:
        return taxonomy, taxonomy.leaf_labels
    known = [label for label in taxonomy.labels if label is not None]
    nodes = taxonomy.nodes(read_class_list(args.class_list, known))
    return taxonomy, tuple(taxonomy.labels[i] for i in nodes)


def read_class_list(path: Path, labels: Sequence[int | str]) -> list[str]:
    """Read class labels: the first word of each line, or the whole line if that is a label.

    ``labels`` are the labels of the data set, which may contain spaces.
    """
    known = {str(label) for label in labels}
    return [line if line in known else line.split()[0] for line in read_lines(path)]
