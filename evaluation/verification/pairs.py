"""Pairs of images of the same person or of different ones.

Those of ``pairs.txt``, see ``datasets.readers.faces``, are found by the folder of the person and
the number at the end of the image's name: ``Ann/Ann_0001.jpg`` or ``s1/1.pgm``.

``.bin`` files, as published with ArcFace, are pickles of two lists: encoded images, two for each
pair, and whether both show the same person.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets.images.files import EncodedImages, FileImages
from datasets.readers.faces import Image, NamedPairs, read_pairs
from storage.pickles import load_plain_pickle
from storage.rehearsal import rehearsed
from utils import UserError, list_folder, listing

_NUMBER = re.compile(r"[0-9]{1,9}(?=\.[^.]*$|$)")  # number before the suffix


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of images, by position in a sequence."""

    first: np.ndarray  # int (pairs,), positions of images
    second: np.ndarray  # int (pairs,), likewise
    same: np.ndarray  # bool (pairs,), whether both show the same person
    # Number of folds stated in the file, each of consecutive pairs, or None
    folds: int | None = None


def find_pairs(named: NamedPairs, names: Sequence[str], location: str | Path) -> Pairs:
    """Find the images of named pairs.

    Args:
        named: the pairs.
        names: paths that end in ``PERSON/FILE``.
        location: where the images are, for messages.

    Raises:
        UserError: images are missing, or two have the same person and number.
    """
    wanted = {image for pair in named.pairs for image in pair}
    found = _by_number(names, wanted, location)
    missing = sorted(wanted - set(found))
    if missing:
        shown = listing(f"{person} {number}" for person, number in missing)
        raise UserError(
            f"{named.path} names {len(missing)} images that are missing in {location}: {shown}"
        )
    first, second = ([found[pair[i]] for pair in named.pairs] for i in (0, 1))
    same = np.array([one[0] == other[0] for one, other in named.pairs])
    return Pairs(np.array(first), np.array(second), same, named.folds)


def _by_number(
    names: Sequence[str], wanted: Iterable[Image], location: str | Path
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
            raise UserError(
                f"{location}: both {names[found[image]]} and {name} are number {image[1]}"
            )
        found[image] = position
    return found


def read_bin(path: Path) -> tuple[EncodedImages, Pairs]:
    """Read a published ``.bin``; nothing in it is executed.

    Raises:
        UserError: it cannot be read, or contains something else.
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
        raise UserError(f"{path} is not a file of pairs: it does not contain two lists")
    images, same = content
    if not isinstance(images, list) or not all(isinstance(image, bytes) for image in images):
        raise UserError(f"{path} is not a file of pairs: its first part is not a list of images")
    same = same.tolist() if isinstance(same, np.ndarray) else same
    if not isinstance(same, list) or not all(isinstance(s, bool | np.bool_) for s in same):
        raise UserError(f"{path} is not a file of pairs: its second part is not a list of booleans")
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
    files = [f"{person}/{f.name}" for person in named.people for f in list_folder(root / person)]
    return FileImages([root / file for file in files]), find_pairs(named, files, root)
