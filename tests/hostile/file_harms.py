"""What may stand in the place of any file, whatever its format."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.hostile.readers import Harm


def pipe(file: str, folder: Path) -> None:
    """A named pipe that nobody writes to, in the place of a file."""
    (folder / file).unlink()
    os.mkfifo(folder / file)


def link(file: str, target: str, folder: Path) -> None:
    """A link in the place of a file."""
    (folder / file).unlink()
    (folder / file).symlink_to(target)


def directory(file: str, folder: Path) -> None:
    """A folder in the place of a file."""
    (folder / file).unlink()
    (folder / file).mkdir()


def no_files(file: str) -> dict[str, Harm]:
    """What is no file that has an end, in the place of one."""
    return {
        "a pipe": partial(pipe, file),
        "zeros without end": partial(link, file, "/dev/zero"),
        "a link to itself": partial(link, file, file),
        "a folder": partial(directory, file),
        "nothing": lambda folder: (folder / file).unlink(),
    }


def made(file: str, content: Callable[[], bytes]) -> Callable[[Path], None]:
    """A harm whose content is large, and made when it is needed."""
    return lambda folder: (folder / file).write_bytes(content())


def endless(file: str, folder: Path) -> None:
    """A file of zeros that has a length, but no disk could hold it."""
    with open(folder / file, "wb") as out:
        out.truncate(2**40)
