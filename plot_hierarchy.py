"""Draw a taxonomy as a tree with named nodes, as SVG or PNG."""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from cli import arguments, class_options, console
from cli.arguments import user_path
from embeddings.taxonomy.drawing import FORMATS, draw
from storage.outputs import check_suffix, claim
from storage.plots import save_plot
from utils import UsageError, UserError, read_lines

results = logging.getLogger("results")

MOST_CLASSES = 5000
"""Larger trees take minutes to draw, and few programs open the result."""
MOST_PIXELS = 2**28
"""Largest PNG; a pixel takes four bytes of memory."""


def build_parser() -> argparse.ArgumentParser:
    """Build the argument parser."""
    parser = arguments.build_parser(__doc__)
    class_options.add_hierarchy_options(parser)
    class_options.add_class_list(parser, "draw only these classes (default: all leaves)")
    add = parser.add_argument_group("picture").add_argument
    add(
        "--names",
        "--class_names",
        type=user_path,
        help="names of the nodes: an id and a name per line, like classes.txt of NABirds",
    )
    add("--title", metavar="TEXT", help="title (default: the name of the taxonomy)")
    add("--out", type=user_path, required=True, help=".svg or .png")
    add("--overwrite", action="store_true", help="replace a file that exists")
    return parser


def plot(args: argparse.Namespace) -> None:
    """Draw a taxonomy, or the part of it above some classes."""
    check_suffix("--out", args.out, FORMATS)
    claim("--out", args.out, args.overwrite)
    taxonomy, labels = class_options.open_taxonomy(args)
    if not labels:
        raise UsageError(f"--class_list {args.class_list} is empty")
    if len(labels) > MOST_CLASSES:
        raise UsageError(
            f"{len(labels)} classes are too many for one picture; choose at most {MOST_CLASSES} "
            "with --class_list"
        )
    names = read_names(args.names) if args.names else None
    figure = draw(taxonomy, labels, names, args.title or Path(args.hierarchy).stem)
    width, height = figure.get_size_inches()
    if args.out.suffix == ".png" and width * height * figure.dpi**2 > MOST_PIXELS:
        raise UsageError(
            f"--out {args.out}: {width:.0f} x {height:.0f} inches are too large for .png; "
            "use .svg, or choose fewer classes with --class_list"
        )
    save_plot(figure, args.out)
    results.info(
        "%d classes, height %d; %.0f x %.0f inches written to %s",
        len(labels),
        taxonomy.height,
        width,
        height,
        args.out,
    )


def read_names(path: Path) -> dict[str, str]:
    """Read the names of nodes by id: each line is an id, white space and a name."""
    pairs = [line.split(maxsplit=1) for line in read_lines(path)]
    short = [pair for pair in pairs if len(pair) < 2]
    if short:
        raise UserError(f"{path}: {short[0][0]!r} is not followed by a name")
    return dict(pairs)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return console.run(build_parser(), plot, argv, backend=False)


if __name__ == "__main__":
    console.end_process(main)
