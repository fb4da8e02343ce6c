"""Open HDF5 files that may be damaged or malicious.

An HDF5 file may refer to other files, and declare arrays of any size that it does not have. So
all groups and arrays are checked before anything is read.

Texts of variable length are checked even before HDF5 opens the file. They lie in heaps, and what
refers to one repeats its length: for a wrong length the library allocates gigabytes before it
compares the two, and in a damaged heap it may loop forever
(https://github.com/h5py/h5py/issues/2088). Layout: HDF5 File Format Specification, III.E, "Disk
Format: Level 1E - Global Heap".
"""

import contextlib
import math
import mmap
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import h5py

from utils import open_regular

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_SMALLEST = 24  # bytes; of the head alone
_DEEPEST = 12  # groups within groups; Keras makes about five
_MOST = 100_000  # groups and arrays; a network of 200 layers has about 3,000
_FREE = 2**24  # bytes that the arrays of the smallest of files may have
_RATIO = 8  # what compression makes of weights is far less
_FILTERS = frozenset((h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32))
_NUMBERS_AND_TEXT = "biufSV"  # kinds of arrays; V: opaque bytes, as Keras stores bfloat16
_LARGEST_LIST = 2**28  # bytes
_FEW = 8  # texts; no layer has as many arrays

_START = b"GCOL\x01"
_HEAD = struct.Struct("<4sB3xQ")  # signature, version; bytes of the heap, this head among them
_OBJECT = struct.Struct("<HHxxxxQ")  # number, references; bytes of the content
_REFERENCE = struct.Struct("<IQI")  # bytes of the text, place of its heap, number within it
_ALIGNED = 8
_MOST_HEAPS = 256  # heaps; a network of 200 layers has about ten
_MOST_TEXTS = 100_000
_SIZES_AT = {0: 13, 1: 13, 2: 9, 3: 9}  # place of the sizes of places and lengths, by version


def is_hdf5(path: str | Path) -> bool:
    """Return whether a file begins with the signature of HDF5.

    Raises:
        OSError: the file cannot be read.
    """
    with open_regular(path) as file:
        return file.read(len(_SIGNATURE)) == _SIGNATURE


@contextlib.contextmanager
def open_hdf5(source: str | Path | BinaryIO) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading.

    Args:
        source: its path, or its content in memory.

    Raises:
        ValueError: it refers to other files, or has far more content than it has bytes.
        Exception: it is damaged; h5py raises almost anything.
    """
    if isinstance(source, str | os.PathLike):
        with open_regular(source) as file:  # with better errors than HDF5's
            size = _checked_file(file)
    else:
        size = _checked_file(source)
    with h5py.File(source, "r") as opened:
        _check_content(opened, max(_FREE, _RATIO * size))
        yield opened


def _checked_file(file: BinaryIO) -> int:
    """Return the size of a file after checking its heaps, bytes."""
    size = file.seek(0, os.SEEK_END)
    if size >= _SMALLEST:  # HDF5 itself refuses others
        check_heaps(file)
    return size


def has_short_texts(group: h5py.Group, name: str) -> bool:
    """Return whether an attribute is a list of texts of fixed length."""
    attribute = group.attrs.get_id(name)
    return attribute.dtype.kind == "S" or attribute.shape == (0,)


def text_list(group: h5py.Group, name: str) -> list[str]:
    """Return an attribute that is a list of texts.

    Raises:
        ValueError: it is something else, or may take far more memory than the file has bytes.
    """
    attribute = group.attrs.get_id(name)
    if attribute.shape == (0,):
        return []
    if attribute.dtype.kind not in "SO" or len(attribute.shape) != 1:
        raise ValueError(f"{name} is no list of names")
    count = attribute.shape[0]
    if attribute.dtype.kind == "O":
        # All may refer to one text as long as the file; only reading them would tell.
        too_large = count > _FEW and count * group.file.id.get_filesize() > _LARGEST_LIST
    else:
        too_large = count * attribute.dtype.itemsize > _LARGEST_LIST
    if too_large:
        raise ValueError(f"{name} is far too large")
    texts = [one.decode() if isinstance(one, bytes) else one for one in group.attrs[name]]
    if not all(isinstance(one, str) for one in texts):
        raise ValueError(f"{name} is no list of names")
    return texts


def text(group: h5py.Group, name: str) -> str:
    """Return an attribute that is one text.

    Raises:
        KeyError: there is none.
        ValueError: it is something else.
    """
    attribute = group.attrs.get_id(name)
    if attribute.shape != () or attribute.dtype.kind not in "SO":
        raise ValueError(f"{name} is no text")
    value = group.attrs[name]
    if not isinstance(value, str | bytes):
        raise ValueError(f"{name} is no text")
    return value.decode() if isinstance(value, bytes) else value


def _check_content(file: h5py.File, limit: int) -> None:
    """Check every group and array under each of its names; raise as ``open_hdf5`` does."""
    size, seen = 0, 0
    waiting: list[tuple[h5py.Group, int]] = [(file, 0)]
    while waiting:
        group, depth = waiting.pop()
        if depth > _DEEPEST:
            raise ValueError("its groups are nested too deeply")
        for name in group:
            seen += 1
            if seen > _MOST:
                raise ValueError("it has far too many groups and arrays")
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                where = "file" if isinstance(link, h5py.ExternalLink) else "place"
                raise ValueError(f"{name} refers to another {where}")
            item = group[name]
            if isinstance(item, h5py.Group):
                waiting.append((item, depth + 1))
            elif isinstance(item, h5py.Dataset):
                size += _checked_size(item)
            if size > limit:
                raise ValueError(f"its content of {size:,} bytes and more is far too large")


def _checked_size(dataset: h5py.Dataset) -> int:
    """Return the bytes that an array takes in memory.

    Raises:
        ValueError: it lies in another file, or is of a type that is not read here.
    """
    if dataset.external or dataset.is_virtual:
        raise ValueError(f"{dataset.name} refers to another file")
    if dataset.dtype.kind not in _NUMBERS_AND_TEXT or dataset.shape is None:
        raise ValueError(f"{dataset.name} is an array of {dataset.dtype}")
    plan = dataset.id.get_create_plist()
    filters = {plan.get_filter(i)[0] for i in range(plan.get_nfilters())}
    if not filters <= _FILTERS:
        raise ValueError(f"{dataset.name} is compressed in an unknown way")
    # A chunk may be larger than the array, and is unpacked as a whole.
    count = max(math.prod(dataset.shape), math.prod(dataset.chunks or ()))
    return count * dataset.dtype.itemsize


def check_heaps(file: BinaryIO) -> None:
    """Check every heap of texts in a file, and all references to one.

    Args:
        file: the whole file, open for reading.

    Raises:
        ValueError: something does not fit into the file, there are far too many, or file offsets
            are not of 8 bytes.
    """
    try:
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (AttributeError, OSError):  # in memory
        file.seek(0)
        content = file.read()
    _check_sizes(content)
    texts = 0
    for count, place in enumerate(_found(content, _START)):
        numbers = _numbers(content, place)
        texts += len(numbers)  # heaps may lie within each other
        if count >= _MOST_HEAPS or texts > _MOST_TEXTS:
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
    """Return the numbers of the texts in a heap."""
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
        # Other bytes may look like the place of a heap, but hardly like a whole reference.
        length, _, number = _REFERENCE.unpack_from(content, place)
        if number in numbers and length > len(content):
            raise ValueError("a text is longer than the file")
