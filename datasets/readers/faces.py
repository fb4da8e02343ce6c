"""Faces: a folder with one folder of images per person.

``pairs.txt``, if there is one, has the form of Labeled Faces in the Wild
(http://vis-www.cs.umass.edu/lfw/): a first line with the number of folds and of pairs of each kind
in a fold, then one line per pair, ``PERSON N1 N2`` of the same person or ``PERSON1 N1 PERSON2 N2``
of different ones, separated by tabs or spaces. The first line may be missing.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from datasets.base import DATASETS, ReaderArgs, require_root
from datasets.images.augmentation.preprocessing import Preprocessing
from datasets.images.dataset import RawImageDataset
from datasets.readers.folder import random_split
from utils import UserError, read_lines

_PAIRS = "pairs.txt"
_SIDE = 112  # pixels, the usual size of face recognition networks

Image = tuple[str, int]
"""Person and number."""


@dataclass(frozen=True)
class NamedPairs:
    """Pairs as named in ``pairs.txt``.

    Attributes:
        path: the file.
        pairs: two images each.
        folds: number of folds stated in the file, each of consecutive pairs, or None.
    """

    path: Path
    pairs: Sequence[tuple[Image, Image]]
    folds: int | None

    @property
    def people(self) -> list[str]:
        """All people, by name."""
        return sorted({person for pair in self.pairs for person, _ in pair})


@DATASETS.register("Faces")
def read_faces(args: ReaderArgs) -> RawImageDataset:
    """Read all people but those in ``pairs.txt``, who are reserved for verification.

    A random part of the images of each person is for testing.
    """
    root = require_root(args, "Faces")
    has_pairs = os.path.isfile(root / _PAIRS)
    tested = read_pairs(root / _PAIRS).people if has_pairs else ()
    splits = random_split(root, args, without=frozenset(tested))
    if not splits[0].labels:
        raise UserError(
            f"{root / _PAIRS} names all people in {root}, so that none are left to train on: keep "
            "only the pairs of people to be tested"
        )
    return RawImageDataset(*splits, preprocessing=Preprocessing(_SIDE, _SIDE, _SIDE))


def read_pairs(path: Path) -> NamedPairs:
    """Read ``pairs.txt``.

    Raises:
        UserError: the file cannot be read, a line is malformed, or the number of pairs differs from
            that in the first line.
    """
    rows = [line.split("\t") if "\t" in line else line.split() for line in read_lines(path)]
    header = rows[0] if rows and len(rows[0]) < 3 else None
    pairs = [_pair(path, row) for row in (rows[1:] if header else rows)]
    if not pairs:
        raise UserError(f"{path} has no pairs")
    return NamedPairs(path, pairs, _folds(path, header, len(pairs)) if header else None)


def _pair(path: Path, row: Sequence[str]) -> tuple[Image, Image]:
    fields = [field.strip() for field in row]
    shown = " ".join(fields)
    if len(fields) == 3:  # two images of one person
        fields.insert(2, fields[0])
    people, numbers = fields[::2], fields[1::2]
    if len(fields) != 4 or not all(re.fullmatch("[0-9]{1,9}", n) for n in numbers):
        raise UserError(f"{path}: expected PERSON N1 N2 or PERSON1 N1 PERSON2 N2, found {shown!r}")
    if any(person in ("", ".", "..") or "/" in person for person in people):
        raise UserError(f"{path}: {shown!r} names no folder of a person")
    first, second = zip(people, map(int, numbers), strict=True)
    return first, second


def _folds(path: Path, header: Sequence[str], pairs: int) -> int:
    if not all(re.fullmatch("[0-9]{1,9}", field) for field in header):
        raise UserError(f"{path}: the first line is not the number of folds and of pairs in each")
    folds, of_each_kind = map(int, ["1", *header][-2:])
    if pairs != folds * 2 * of_each_kind:
        raise UserError(
            f"{path}: the first line says {folds} folds of 2 x {of_each_kind} pairs, but there are "
            f"{pairs} pairs"
        )
    return folds
