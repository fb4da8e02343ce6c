"""Find images that are both in the training split and in another one."""

import hashlib
import logging
import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from datasets.base import RawSplit
from utils import listing, open_regular, printable

logger = logging.getLogger(__name__)

_BEGINNING = 1024  # bytes


def warn_of_duplicates(
    train: RawSplit | None, test: RawSplit, validation: RawSplit | None = None
) -> None:
    """Warn of test and validation images whose files are identical to training images.

    Args:
        train: training images; None: there is nothing to compare.
        test: test images.
        validation: validation images, if there are any.
    """
    for kind, split in (("test", test), ("validation", validation)):
        equal = _equal_files(train.samples.paths, split.samples.paths) if train and split else ()
        if equal:
            names = dict(zip(split.samples.paths, split.names, strict=True))
            logger.warning(
                "%d of %d %s images are among the training images, too, in files of the same "
                "content: %s",
                len(equal),
                len(split.names),
                kind,
                printable(listing(names[path] for path in equal)),
            )


def _equal_files(first: Sequence[Path], second: Sequence[Path]) -> list[Path]:
    """Return the files of the second list that are identical to a file of the first."""
    contents = shared_contents((*first, *second))
    known = set(contents[: len(first)]) - {None}
    return [path for path, key in zip(second, contents[len(first) :], strict=True) if key in known]


def shared_contents(paths: Sequence[Path]) -> list[bytes | None]:
    """Return a digest of each file that is identical to another one in the list; else None.

    Only files with the same size and beginning are read entirely.
    """
    found: dict[int, object] = dict.fromkeys(range(len(paths)))
    for fact in (_size, _beginning, _digest):
        found = {i: value for i in found if (value := _value(fact, paths[i])) is not None}
        times = Counter(found.values())
        found = {i: value for i, value in found.items() if times[value] > 1}
    return [found.get(i) for i in range(len(paths))]


def _value(fact: Callable[[Path], object], path: Path) -> object:
    try:
        return fact(path)
    except OSError:  # reported when the image is read
        return None


def _size(path: Path) -> int:
    return os.stat(path).st_size


def _beginning(path: Path) -> bytes:
    with open_regular(path) as file:
        return file.read(_BEGINNING)


def _digest(path: Path) -> bytes:
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").digest()
