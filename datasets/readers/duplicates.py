"""Images that are both in the training part and in another one."""

import hashlib
import logging
import os
from collections.abc import Callable
from pathlib import Path

from datasets.base import RawSplit
from utils import listing, open_regular, printable

logger = logging.getLogger(__name__)

_BEGINNING = 1024  # bytes


def warn_of_duplicates(
    train: RawSplit | None, test: RawSplit, validation: RawSplit | None = None
) -> None:
    """Warn of test and validation images that are also used for training, byte by byte.

    Args:
        train: image files, like the others; None: there is nothing to compare.
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
                *(
                    len(equal),
                    len(split.names),
                    kind,
                    printable(listing(names[path] for path in equal)),
                ),
            )


def _equal_files(first: tuple[Path, ...], second: tuple[Path, ...]) -> list[Path]:
    """Return the files of the second list whose bytes are those of a file of the first.

    Only files of equal size and beginning are read to their end.
    """
    found = [list(first), list(second)]
    for fact in (_size, _beginning, _digest):
        facts = [[_value(fact, path) for path in paths] for paths in found]
        common = set(facts[0]).intersection(facts[1]) - {None}
        found = [
            [path for path, value in zip(paths, values, strict=True) if value in common]
            for paths, values in zip(found, facts, strict=True)
        ]
    return found[1]


def _value(fact: Callable[[Path], object], path: Path) -> object:
    try:
        return fact(path)
    except OSError:  # whoever reads the image reports it
        return None


def _size(path: Path) -> int:
    return os.stat(path).st_size


def _beginning(path: Path) -> bytes:
    with open_regular(path) as file:
        return file.read(_BEGINNING)


def _digest(path: Path) -> bytes:
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").digest()
