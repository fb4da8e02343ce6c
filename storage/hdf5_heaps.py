"""Checks the texts of variable length in an HDF5 file before the HDF5 library reads any of them.

They lie in heaps, and what refers to one says its length again. For a damaged length the library
may take gigabytes before it compares the two, and in a damaged heap it may look for ever.

Layout: HDF5 File Format Specification, III.E, "Disk Format: Level 1E - Global Heap".
"""

import mmap
import struct
from collections.abc import Iterator
from typing import BinaryIO

_START = b"GCOL\x01"
_HEAD = struct.Struct("<4sB3xQ")  # signature, version; bytes of the heap, this head among them
_OBJECT = struct.Struct("<HHxxxxQ")  # number, references; bytes of the content
_REFERENCE = struct.Struct("<IQI")  # bytes of the text, place of its heap, number within it
_ALIGNED = 8
_MOST = 256  # heaps; a network of 200 layers has about ten
_MOST_TEXTS = 100_000
_SIZES_AT = {0: 13, 1: 13, 2: 9, 3: 9}  # place of the sizes of places and lengths, by version


def check_heaps(file: BinaryIO) -> None:
    """Looks at every heap in a file, and at all that refers to one.

    Args:
        file: the whole file, open for reading.

    Raises:
        ValueError: something does not fit into the file, there are far too many, or places in the
            file are not of 8 bytes.
    """
    try:
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (AttributeError, OSError):  # it lies in memory
        file.seek(0)
        content = file.read()
    _check_sizes(content)
    texts = 0
    for count, place in enumerate(_found(content, _START)):
        numbers = _numbers(content, place)
        texts += len(numbers)  # heaps may lie within each other
        if count >= _MOST or texts > _MOST_TEXTS:
            raise ValueError("it has far too many texts")
        _check_references(content, place, numbers)


def _check_sizes(content: bytes | mmap.mmap) -> None:
    at = _SIZES_AT.get(content[8])
    if at is None or content[at : at + 2] != b"\x08\x08":
        raise ValueError("its places in the file are not of 8 bytes")


def _found(content: bytes | mmap.mmap, wanted: bytes) -> Iterator[int]:
    place = content.find(wanted)
    while place >= 0:
        yield place
        place = content.find(wanted, place + 1)


def _numbers(content: bytes | mmap.mmap, place: int) -> set[int]:
    """The numbers of the texts in a heap."""
    numbers = set()
    if place + _HEAD.size > len(content):
        raise ValueError("it ends within a heap of texts")
    *_, size = _HEAD.unpack_from(content, place)
    end = place + size
    if size < _HEAD.size or end > len(content):
        raise ValueError("a heap of texts does not fit into it")
    place += _HEAD.size
    while place + _OBJECT.size <= end:
        number, _, size = _OBJECT.unpack_from(content, place)
        # Number 0 is what is free, of which the size counts the head.
        taken = _OBJECT.size + -(-size // _ALIGNED) * _ALIGNED if number else size
        if number in numbers or not _OBJECT.size <= taken <= end - place:
            raise ValueError("a text does not fit into its heap")
        numbers.add(number)
        place += taken
    return numbers - {0}


def _check_references(content: bytes | mmap.mmap, heap: int, numbers: set[int]) -> None:
    for found in _found(content, struct.pack("<Q", heap)):
        place = found - 4
        if place < 0 or place + _REFERENCE.size > len(content):
            continue
        # Other things in the file may look like the place of a heap, but hardly like all of this.
        length, _, number = _REFERENCE.unpack_from(content, place)
        if number in numbers and length > len(content):
            raise ValueError("a text is longer than the file")
