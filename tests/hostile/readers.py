"""What is fuzzed: one line for each reader of files.

An input is a folder with the files of a valid example, one of which was damaged.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.hostile.mutators import BYTES, Mutator

Harm = bytes | Callable[[Path], None]
"""A whole file, or what turns the folder of a valid example into a hostile one."""


@dataclass(frozen=True)
class Reader:
    """A reader of files.

    Attributes:
        prepare: writes the files of a valid example into a folder.
        files: those of them that are damaged, one at a time.
        read: reads the folder.
        check: raises AssertionError unless the result of reading a damaged folder is right; it
            gets the result, the one of the valid example, and the folder.
        mutators: how files are damaged.
        crafted: inputs that were made to do harm; each has to be refused.
        harmless: unusual ones that have to be read.
        large: inputs that take seconds; each has to be refused or read.
        keras: whether reading needs Keras, which takes long to import.
        named: what an error may name instead of the file; an empty text: nothing at all.
    """

    prepare: Callable[[Path], None]
    files: tuple[str, ...]
    read: Callable[[Path], object]
    check: Callable[[object, object, Path], None]
    mutators: tuple[Mutator, ...] = BYTES
    crafted: Mapping[str, Harm] = field(default_factory=dict)
    harmless: Mapping[str, Harm] = field(default_factory=dict)
    large: Mapping[str, Harm] = field(default_factory=dict)
    keras: bool = False
    named: tuple[str, ...] = ()


def apply(harm: Harm, folder: Path, file: str) -> None:
    """Makes a hostile input of a valid example."""
    if isinstance(harm, bytes):
        (folder / file).write_bytes(harm)
    else:
        harm(folder)


def reader(name: str) -> Reader:
    """The reader of that name, or the one that misbehaves so."""
    from tests.hostile import misbehaving

    return misbehaving.READERS.get(name) or table()[name]


def table() -> dict[str, Reader]:
    """All readers by name, those that need Keras last."""
    from tests.hostile import array_readers, list_readers, model_readers, picture_readers

    tables = (list_readers, picture_readers, array_readers, model_readers)
    return {name: reader for part in tables for name, reader in part.READERS.items()}
