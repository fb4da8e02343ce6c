"""Write the list files of the CUB subsets, train_test_split_X.txt, into a CUB folder."""

import argparse
import logging
import os
from collections.abc import Sequence

from cli import arguments, console
from cli.arguments import positive, user_path
from datasets.readers.cub_nab import Lists, read_split, subset_file
from datasets.readers.cub_splits import LISTED, PUBLISHED, listed_images
from storage.files import replacing
from storage.outputs import claim
from utils import UsageError, UserError

results = logging.getLogger("results")


def build_parser() -> argparse.ArgumentParser:
    """Build the argument parser."""
    parser = arguments.build_parser(__doc__)
    parser.add_argument(
        "--data_root",
        type=user_path,
        required=True,
        metavar="DIR",
        help="CUB folder that contains images.txt and train_test_split.txt",
    )
    parser.add_argument(
        "--per_class",
        type=positive,
        nargs="+",
        default=list(PUBLISHED),
        metavar="X",
        help=f"training images per class, at most {LISTED} (default: "
        f"{' '.join(map(str, PUBLISHED))})",
    )
    parser.add_argument(
        "--out", type=user_path, metavar="DIR", help="folder for the lists (default: --data_root)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")
    return parser


def write_splits(args: argparse.Namespace) -> None:
    """Write the list files of the subsets."""
    if max(args.per_class) > LISTED:
        raise UsageError(
            f"--per_class {max(args.per_class)}: the lists have only {LISTED} images of each class"
        )
    if not os.path.isdir(args.data_root):
        raise UserError(f"there is no folder {args.data_root}")
    folder = args.out or args.data_root
    paths = {number: folder / subset_file(number) for number in dict.fromkeys(args.per_class)}
    for path in paths.values():
        claim("--out" if args.out else "--data_root", path, args.overwrite)
    lists = read_split(args.data_root)
    for number, path in paths.items():
        lines = split_lines(lists, number)
        with replacing(path) as temporary:
            temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        kept = len(lines) - len(lists.test)
        results.info("%s: %d training and %d test images", path, kept, len(lists.test))


def split_lines(lists: Lists, per_class: int) -> list[str]:
    """Return the lines of a list file: ``ID 1`` for training, ``ID 0`` for testing.

    Args:
        lists: the official split.
        per_class: training images of each class; the others are left out.

    Raises:
        UserError: the images are not those of CUB.
    """
    kept = listed_images({lists.paths[key] for key in lists.train}, per_class)
    flags = {key: 1 for key in lists.train if lists.paths[key] in kept}
    flags |= dict.fromkeys(lists.test, 0)
    return [f"{key} {flags[key]}" for key in lists.paths if key in flags]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return console.run(build_parser(), write_splits, argv, backend=False)


if __name__ == "__main__":
    console.end_process(main)
