"""Compute class embeddings from a taxonomy: similar classes get similar vectors."""

import argparse
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cli import arguments, class_options, console
from cli.arguments import positive, user_path
from embeddings.class_embeddings import SUFFIXES, save_class_embeddings
from embeddings.taxonomy.solvers import METHODS, normalized
from embeddings.taxonomy.tree import Taxonomy
from storage.outputs import check_suffix, claim
from utils import UsageError, UserError, listing

if TYPE_CHECKING:
    import numpy as np

results = logging.getLogger("results")


def build_parser() -> argparse.ArgumentParser:
    """Build the argument parser."""
    parser = arguments.build_parser(__doc__)
    class_options.add_hierarchy_options(parser)
    class_options.add_class_list(
        parser, "restrict and order the classes (default: all leaves, ascending)"
    )
    embedding = parser.add_argument_group("embedding")
    add = embedding.add_argument
    add(
        "--method",
        choices=tuple(METHODS),
        default="unitsphere",
        help="unitsphere: unit vectors whose dot products equal the class similarities; "
        "approx_sim: the best approximation of these in fewer dimensions; spheres: points whose "
        "distances equal the class dissimilarities; mds: an approximation in fewer dimensions",
    )
    add(
        "--num_dim",
        type=positive,
        metavar="D",
        help="number of dimensions for approx_sim and mds (default: as many as an exact "
        "embedding needs)",
    )
    add("--norm", action="store_true", help="scale the vectors to unit length")
    output = parser.add_argument_group("output")
    output.add_argument(
        "--out",
        type=user_path,
        required=True,
        help="where to save the vectors: .npz, or .pickle in the published layout",
    )
    output.add_argument("--overwrite", action="store_true", help="replace an existing file")
    return parser


def compute(args: argparse.Namespace) -> None:
    """Compute class embeddings from a taxonomy and save them."""
    check_suffix("--out", args.out, SUFFIXES)
    claim("--out", args.out, args.overwrite)
    taxonomy, labels = class_options.open_taxonomy(args)
    if len(labels) < 2:
        raise UsageError(f"class embeddings need at least two classes, not {len(labels)}")
    similarities = taxonomy.similarities(labels)
    vectors = embed(taxonomy, similarities, args.method, args.num_dim)
    if args.norm:
        vectors = normalized(vectors, labels)
    save_class_embeddings(args.out, vectors, labels)
    report(args, taxonomy, vectors, similarities)


def embed(
    taxonomy: Taxonomy, similarities: "np.ndarray", method: str, num_dim: int | None
) -> "np.ndarray":
    """Compute the vectors, float64 (classes, dimensions)."""
    try:
        return METHODS[method].embed(similarities, num_dim)
    except UsageError:
        raise
    except UserError as error:
        several = taxonomy.with_several_parents()
        reason = f"; the cause may be nodes with several parents, such as {listing(several)}"
        raise UserError(f"{error}{reason if several else ''}") from error


def report(
    args: argparse.Namespace, taxonomy: Taxonomy, vectors: "np.ndarray", similarities: "np.ndarray"
) -> None:
    """Log the size of the embedding and its deviation from the similarities."""
    method = METHODS[args.method]
    deviations = method.deviations(vectors, similarities)
    results.info("%d classes, %d dimensions, root height %d", *vectors.shape, taxonomy.height)
    results.info(
        "Deviation of the %s from their target: largest %.2g, mean %.2g",
        method.measure,
        deviations.max(),
        deviations.mean(),
    )
    results.info("Written to %s", args.out)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return console.run(build_parser(), compute, argv, backend=False)


if __name__ == "__main__":
    console.end_process(main)
