"""Pairs of images of the same person or of different ones.

``pairs.txt`` has the form of Labeled Faces in the Wild: a first line with the number of folds and
of pairs of each kind in a fold, then one line per pair, ``PERSON N1 N2`` or ``PERSON1 N1 PERSON2
N2``, separated by tabs or spaces. ``N`` is the number that the name of the image ends in, in a
folder named after the person: ``Ann/Ann_0001.jpg`` or ``s1/1.pgm``. The first line may be missing.

``.bin`` files, as published with ArcFace, are pickles of two lists: encoded images, two after
another for each pair, and whether both show the same person.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets.images.files import EncodedImages, FileImages
from storage.pickles import load_plain_pickle
from storage.rehearsal import rehearsed
from utils import UserError, list_folder, listing, read_lines

_NUMBER = re.compile(r"[0-9]{1,9}(?=\.[^.]*$|$)")  # in front of the suffix

Image = tuple[str, int]
"""Person and number."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of images of a sequence.

    Attributes:
        first: int (pairs,), positions of images.
        second: int (pairs,), likewise.
        same: bool (pairs,), whether both show the same person.
        folds: number of folds that the file says to have, each of consecutive pairs, or None.
    """

    first: np.ndarray
    second: np.ndarray
    same: np.ndarray
    folds: int | None = None


@dataclass(frozen=True)
class NamedPairs:
    """Pairs as ``pairs.txt`` names them.

    Attributes:
        path: the file.
        pairs: two images each.
        folds: see ``Pairs``.
    """

    path: Path
    pairs: Sequence[tuple[Image, Image]]
    folds: int | None

    def among(self, names: Sequence[str], place: str | Path) -> Pairs:
        """Find the images by their names.

        Args:
            names: paths that end in ``PERSON/FILE``.
            place: where the images are, for messages.

        Raises:
            UserError: images are missing, or two have the same person and number.
        """
        wanted = {image for pair in self.pairs for image in pair}
        found = _by_number(names, wanted, place)
        missing = sorted(wanted - set(found))
        if missing:
            shown = listing(f"{person} {number}" for person, number in missing)
            raise UserError(
                f"{self.path} names {len(missing)} images that are missing in {place}: {shown}"
            )
        first, second = ([found[pair[i]] for pair in self.pairs] for i in (0, 1))
        same = np.array([one[0] == other[0] for one, other in self.pairs])
        return Pairs(np.array(first), np.array(second), same, self.folds)

    def files(self, root: Path) -> list[str]:
        """Return the files of all people that occur, relative to ``root``.

        Raises:
            UserError: a folder is missing or cannot be read.
        """
        people = sorted({person for pair in self.pairs for person, _ in pair})
        return [f"{person}/{path.name}" for person in people for path in list_folder(root / person)]


def _by_number(
    names: Sequence[str], wanted: Iterable[Image], place: str | Path
) -> Mapping[Image, int]:
    """Return the position of each wanted image that exists."""
    found: dict[Image, int] = {}
    for position, name in enumerate(names):
        *_, person, file = ["", *name.split("/")]
        number = _NUMBER.search(file)
        image = (person, int(number[0])) if number else None
        if image not in wanted:
            continue
        if image in found:
            raise UserError(f"{place}: both {names[found[image]]} and {name} are number {image[1]}")
        found[image] = position
    return found


def read_pairs(path: Path) -> NamedPairs:
    """Read ``pairs.txt``.

    Raises:
        UserError: the file cannot be read, a line is malformed, or there are more or fewer pairs
            than the first line says.
    """
    rows = [line.split("\t") if "\t" in line else line.split() for line in read_lines(path)]
    header = rows[0] if rows and len(rows[0]) < 3 else None
    pairs = [_pair(path, row) for row in (rows[1:] if header else rows)]
    if not pairs:
        raise UserError(f"{path} has no pairs")
    return NamedPairs(path, pairs, _folds(path, header, len(pairs)) if header else None)


def _pair(path: Path, row: Sequence[str]) -> tuple[Image, Image]:
    row = [field.strip() for field in row]
    people, numbers = row[::2] if len(row) == 4 else row[:1] * 2, row[1::2]
    if len(row) == 3:
        numbers = row[1:]
    if len(row) not in (3, 4) or not all(re.fullmatch("[0-9]{1,9}", n) for n in numbers):
        raise UserError(
            f"{path}: expected PERSON N1 N2 or PERSON1 N1 PERSON2 N2, found {' '.join(row)!r}"
        )
    if any(person in ("", ".", "..") or "/" in person for person in people):
        raise UserError(f"{path}: {' '.join(row)!r} names no folder of a person")
    first, second = zip(people, map(int, numbers), strict=True)
    return first, second


def _folds(path: Path, header: Sequence[str], pairs: int) -> int:
    if not all(re.fullmatch("[0-9]{1,9}", field) for field in header):
        raise UserError(f"{path}: the first line is no number of folds and of pairs in each")
    folds, of_each_kind = map(int, ["1", *header][-2:])
    if pairs != folds * 2 * of_each_kind:
        raise UserError(
            f"{path}: the first line says {folds} folds of 2 x {of_each_kind} pairs, but there are "
            f"{pairs} pairs"
        )
    return folds


def read_bin(path: Path) -> tuple[EncodedImages, Pairs]:
    """Read a published ``.bin``; nothing in it is executed.

    Raises:
        UserError: it cannot be read, or holds something else.
    """
    contents, same = _content(path)
    count = len(same)
    names = [f"{path}: image {i}" for i in range(2 * count)]
    positions = np.arange(2 * count).reshape(count, 2).T
    return EncodedImages(contents, names), Pairs(*positions, np.array(same, bool))


@rehearsed()
def _content(path: Path) -> tuple[list[bytes], list[bool]]:
    content = load_plain_pickle(path, encoding="bytes")
    if not isinstance(content, list | tuple) or len(content) != 2:
        raise UserError(f"{path} is no file of pairs: it does not hold two lists")
    images, same = content
    if not isinstance(images, list) or not all(isinstance(image, bytes) for image in images):
        raise UserError(f"{path} is no file of pairs: its first part is no list of image files")
    same = same.tolist() if isinstance(same, np.ndarray) else same
    if not isinstance(same, list) or not all(isinstance(s, bool | np.bool_) for s in same):
        raise UserError(f"{path} is no file of pairs: its second part is no list of yes and no")
    if not same or len(images) != 2 * len(same):
        raise UserError(f"{path}: {len(images)} images are not two for each of {len(same)} pairs")
    return images, same


def open_pairs(path: Path, root: Path | None) -> tuple[FileImages | EncodedImages, Pairs]:
    """Return the images and pairs of either kind of file.

    Args:
        path: ``.bin``, or text like ``pairs.txt``.
        root: folder with one folder per person, for ``pairs.txt``.

    Raises:
        UserError: a file cannot be read, or images are missing.
    """
    if path.suffix == ".bin":
        return read_bin(path)
    named = read_pairs(path)
    files = named.files(root)
    return FileImages([root / file for file in files]), named.among(files, root)
