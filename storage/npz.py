"""Safe reading of ``.npz`` and other zip archives, which may be damaged or malicious.

Nothing in them is executed, and the unpacked size is checked before anything is unpacked.
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
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # zipfile cannot bound the others
_KINDS = "biufSU"  # of dtypes: numbers and text
_FREE = 2**28  # unpacked bytes that any file may have, however small
_RATIO = 20  # largest compression ratio beyond that
_MOST_NUMBERS = 2**27  # in nested lists: 1 GiB as an array
_MOST_TEXT = 2**26  # characters in an array of text: 256 MiB


def is_zip(path: str | Path) -> bool:
    """Return whether a file begins like a zip archive, damaged ones included.

    Raises:
        OSError: the file cannot be read.
    """
    with open_regular(path) as file:
        return file.read(2) == b"PK"


def bounded(limit: int, file: BinaryIO) -> int:
    """Return a limit of the unpacked size that grows with the file, up to ``limit`` bytes.

    Compression leaves about 90 % of float32 features, a third if most of them are zero. What
    shrinks to less than 5 % is small, or a file made to fill the memory.
    """
    return min(limit, max(_FREE, _RATIO * os.fstat(file.fileno()).st_size))


def read_npz(file: BinaryIO, names: Iterable[str], limit: int) -> dict[str, np.ndarray]:
    """Read arrays of numbers and text from an ``.npz`` archive.

    Args:
        file: the archive.
        names: of the arrays; the result has those that exist.
        limit: of their total unpacked size, in bytes.

    Raises:
        ValueError: the archive is damaged, larger than ``limit``, or holds arrays of other types.
    """
    try:
        with zipfile.ZipFile(file) as archive, warnings.catch_warnings():
            # NumPy warns about headers of Python 2, Python about damaged ones that it parses.
            warnings.simplefilter("ignore")
            members = _members(archive, {f"{name}.npy": name for name in names}, limit)
            return {name: _array(archive, member) for name, member in members.items()}
    except Exception as error:  # damaged archives and headers may raise anything
        raise ValueError(_reason(error)) from error


def read_member(file: BinaryIO, name: str, limit: int) -> bytes | None:
    """Return the content of one member of a zip archive; None if there is no such member.

    Args:
        file: the archive.
        name: of the member.
        limit: of its unpacked size, in bytes.

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
    """Convert an array or nested lists of numbers to float32; too large ones become infinite.

    Raises:
        TypeError, ValueError: there are other things than real numbers, or the shape is ragged.
    """
    if _longest_text(value):  # NumPy would make every element as wide as the longest text
        raise ValueError("numbers are needed, there is text among them")
    if isinstance(value, list | tuple) and _numbers_in(value) > _MOST_NUMBERS:
        raise ValueError(f"these are more than {_MOST_NUMBERS:,} numbers")
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"numbers are needed, these are {array.dtype}")
    with np.errstate(all="ignore"):
        return array.astype(np.float32, copy=False)


def _numbers_in(value: list | tuple) -> int:
    """Count the numbers in nested lists, whose parts may be the same object."""
    count, waiting = 0, [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list | tuple):
            waiting += part
        else:
            count += part.size if isinstance(part, np.ndarray) else 1
    return count


def label_vector(value: object) -> np.ndarray:
    """Convert a list of labels to an array, of any type.

    Raises:
        TypeError, ValueError: it is no list, or an array of text would be far too large.
    """
    if isinstance(value, list | tuple) and len(value) * _longest_text(value) > _MOST_TEXT:
        raise ValueError("its labels are far too long")
    return np.asarray(value)


def _longest_text(value: object) -> int:
    """Return the length of the longest text in nested lists; 0: there is none."""
    longest, waiting = 0, [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, str | bytes):
            longest = max(longest, len(part), 1)
        elif isinstance(part, list | tuple):
            waiting += part
    return longest


def check_text(array: np.ndarray) -> None:
    """Refuse an array of text with invalid code points, which NumPy accepts.

    Raises:
        ValueError: there are some.
    """
    if array.dtype.kind == "U" and array.size and array.dtype.itemsize:
        code_points = array.reshape(-1).view(np.dtype("u4").newbyteorder(array.dtype.byteorder))
        if code_points.max() > 0x10FFFF:
            raise ValueError("its text is damaged")


def _members(
    archive: zipfile.ZipFile, wanted: dict[str, str], limit: int
) -> dict[str, zipfile.ZipInfo]:
    """Return the members of the archive whose names are keys of ``wanted``, by its values."""
    found = {wanted[i.filename]: i for i in archive.infolist() if i.filename in wanted}
    # zipfile reads no more of a member than the size in the directory of the archive.
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
    """Refuse an array whose shape does not match the size of its member."""
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
