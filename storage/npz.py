"""Reads ``.npz`` and other zip archives that may be damaged or made to do harm.

Nothing in them is executed, and what they unpack to is bounded before anything is unpacked.
"""

import math
import os
import warnings
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from utils import open_regular

_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the others unpack without a bound
_KINDS = "biufSU"  # of dtypes: numbers and text
_FREE = 2**28  # bytes that the smallest of files may unpack to
_RATIO = 20
_MOST_NUMBERS = 2**27  # in nested lists, which NumPy makes 1 GiB of
_MOST_TEXT = 2**26  # characters of an array that is made of a list


def is_zip(path: str | Path) -> bool:
    """Whether a file begins as every zip archive does, a damaged one too.

    Raises:
        OSError: the file cannot be read.
    """
    with open_regular(path) as file:
        return file.read(2) == b"PK"


def bounded(limit: int, file: BinaryIO) -> int:
    """A limit for what a file may unpack to that grows with the file, up to ``limit``.

    Numbers in float32 shrink to about nine tenths, a third if most of them are zero; what shrinks
    to less than a twentieth is small, or a file that was made to fill the memory.
    """
    return min(limit, max(_FREE, _RATIO * os.fstat(file.fileno()).st_size))


def read_npz(file: BinaryIO, names: Iterable[str], limit: int) -> dict[str, np.ndarray]:
    """Reads arrays of numbers and text from an ``.npz`` archive.

    Args:
        file: the archive.
        names: of the arrays; those that the archive lacks are left out.
        limit: bytes that they may have altogether when they are unpacked.

    Raises:
        ValueError: the archive is damaged, larger than ``limit``, or has other arrays there.
    """
    try:
        with zipfile.ZipFile(file) as archive, warnings.catch_warnings():
            # About headers: those of Python 2, and damaged ones that look like code in old style.
            warnings.simplefilter("ignore")
            members = _members(archive, {f"{name}.npy": name for name in names}, limit)
            return {name: _array(archive, member) for name, member in members.items()}
    except Exception as error:  # damaged archives and headers may raise anything
        raise ValueError(_reason(error)) from error


def read_member(file: BinaryIO, name: str, limit: int) -> bytes | None:
    """The content of one member of a zip archive; None if there is no such member.

    Args:
        file: the archive.
        name: of the member.
        limit: bytes that it may have when it is unpacked.

    Raises:
        ValueError: the archive is damaged or the member larger than ``limit``.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            members = _members(archive, {name: name}, limit)
            return archive.read(members[name]) if members else None
    except Exception as error:  # damaged archives may raise anything
        raise ValueError(_reason(error)) from error


def float_vectors(value: object) -> np.ndarray:
    """An array, or nested lists, of numbers as float32; too large ones become infinite.

    Raises:
        TypeError, ValueError: it has something else than real numbers, or no regular shape.
    """
    if _longest_text(value):  # of which NumPy would make an array as wide as the longest of it
        raise ValueError("numbers are needed, there is text among them")
    if isinstance(value, list | tuple) and _numbers_in(value) > _MOST_NUMBERS:
        raise ValueError(f"these are more than {_MOST_NUMBERS:,} numbers")
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"numbers are needed, these are {array.dtype}")
    with np.errstate(all="ignore"):
        return array.astype(np.float32, copy=False)


def _numbers_in(value: list | tuple) -> int:
    """How many there are in nested lists, whose parts may be one and the same."""
    count, waiting = 0, [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list | tuple):
            waiting += part
        else:
            count += part.size if isinstance(part, np.ndarray) else 1
    return count


def label_vector(value: object) -> np.ndarray:
    """An array, or a list, of labels as an array; nothing is said about what the labels are.

    Raises:
        TypeError, ValueError: it is something else, or labels of text are so long and so many that
            an array of them would fill the memory.
    """
    if isinstance(value, list | tuple) and len(value) * _longest_text(value) > _MOST_TEXT:
        raise ValueError("its labels are far too long")
    return np.asarray(value)


def _longest_text(value: object) -> int:
    """Characters of the longest text in nested lists."""
    longest, waiting = 0, [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, str | bytes):
            longest = max(longest, len(part), 1)
        elif isinstance(part, list | tuple):
            waiting += part
    return longest


def check_text(array: np.ndarray) -> None:
    """Refuses text with numbers that are no characters, of which NumPy makes broken text.

    Raises:
        ValueError: it has such text.
    """
    if array.dtype.kind == "U" and array.size and array.dtype.itemsize:
        code_points = array.reshape(-1).view(np.dtype("u4").newbyteorder(array.dtype.byteorder))
        if code_points.max() > 0x10FFFF:
            raise ValueError("its text is damaged")


def _members(
    archive: zipfile.ZipFile, wanted: dict[str, str], limit: int
) -> dict[str, zipfile.ZipInfo]:
    """Those of the archive that are wanted, by the name that they are wanted under."""
    found = {wanted[i.filename]: i for i in archive.infolist() if i.filename in wanted}
    # Reading a member ends at the size that the directory of the archive has for it.
    size = sum(member.file_size for member in found.values())
    if size > limit:
        raise ValueError(f"its content of {size:,} bytes is far too large")
    if any(member.compress_type not in _METHODS for member in found.values()):
        raise ValueError("it is compressed in an unknown way")
    return found


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(member) as stream:
        _check_header(stream, member.file_size)
    with archive.open(member) as stream:
        array = np.lib.format.read_array(stream, allow_pickle=False)
    check_text(array)
    return array


def _check_header(stream: BinaryIO, size: int) -> None:
    """Refuses arrays whose shape differs from what the file has for them."""
    version = np.lib.format.read_magic(stream)
    if version not in _HEADERS:
        raise ValueError(f"an array of version {version}")
    shape, _, dtype = _HEADERS[version](stream)
    if dtype.kind not in _KINDS:
        raise ValueError(f"its arrays have to be numbers and text, one is {dtype}")
    count = math.prod(shape)
    if count * dtype.itemsize != size - stream.tell() or (count and not dtype.itemsize):
        raise ValueError(f"an array of shape {shape} does not fit its size")


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
