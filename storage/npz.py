"""Read arrays from ``.npz`` archives, and members of other zip archives.

Nothing in them is executed. ``storage.rehearsal`` protects against archives that unpack to far more
than their size.
"""

import os
import warnings
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from storage.rehearsal import rehearsed
from utils import one_line, open_regular

_KINDS = "biufSU"  # kinds of dtypes: numbers and text


def is_zip(path: str | Path) -> bool:
    """Return whether a file begins like a zip archive, which may be damaged."""
    with open_regular(path) as file:
        return file.read(2) == b"PK"


def is_dense(path: str | Path) -> bool:
    """Return whether a file is a zip archive whose stated contents are at most twice its size.

    Such archives, typical of large numeric arrays, need no rehearsal: libraries do not crash on
    them, and do not read more of a member than its stated size.
    """
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
            return unpacked <= 2 * os.fstat(file.fileno()).st_size
    except Exception:  # damaged archives may raise anything
        return False


def read_npz(
    file: BinaryIO, names: Iterable[str], limit: int | None = None
) -> dict[str, np.ndarray]:
    """Read named arrays of numbers or text from an ``.npz`` archive, leaving out missing ones.

    ``limit`` is the maximum of their total stated size in bytes, for use without rehearsal.

    Raises:
        ValueError: the archive is damaged, or has arrays of other types.
        MemoryError: the arrays are too large.
    """
    with _opened(file) as archive:
        members = {name: f"{name}.npy" for name in names}
        sizes = {member.filename: member.file_size for member in archive.infolist()}
        found = {name: file for name, file in members.items() if file in sizes}
        if limit is not None and sum(sizes[file] for file in found.values()) > limit:
            raise MemoryError
        return {name: _array(archive, file) for name, file in found.items()}


@contextmanager
def _opened(file: BinaryIO) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(file) as archive, warnings.catch_warnings():
            # NumPy warns about headers of Python 2, Python about damaged ones that it parses.
            warnings.simplefilter("ignore")
            yield archive
    except MemoryError:
        raise
    except Exception as error:  # damaged archives and headers may raise anything
        raise ValueError(one_line(error)) from error


@rehearsed()
def read_member(path: str | Path, name: str) -> bytes | None:
    """Return the content of one member of a zip archive; None if there is no such member.

    Raises:
        OSError: the file cannot be read.
        ValueError: the archive is damaged.
        MemoryError: the member is too large.
    """
    with open_regular(path) as file, _opened(file) as archive:
        return archive.read(name) if name in archive.namelist() else None


def float_vectors(value: object) -> np.ndarray:
    """Convert an array or nested lists of numbers to float32; those out of range become infinite.

    Raises:
        TypeError, ValueError: not all values are real numbers, or the shape is ragged.
    """
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"numbers are needed, these are {array.dtype}")
    with np.errstate(all="ignore"):
        return array.astype(np.float32, copy=False)


def check_text(array: np.ndarray) -> None:
    """Raise ValueError for an array of text with invalid code points, which NumPy accepts."""
    if array.dtype.kind == "U" and array.size and array.dtype.itemsize:
        code_points = array.reshape(-1).view(np.dtype("u4").newbyteorder(array.dtype.byteorder))
        if code_points.max() > 0x10FFFF:
            raise ValueError("its text is damaged")


def _array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(name) as stream:
        array = np.lib.format.read_array(stream, allow_pickle=False)
        if stream.read(1):  # at the end, this also verifies the checksum
            raise ValueError(f"an array of shape {array.shape} does not fit its size")
    if array.dtype.kind not in _KINDS or (array.size and not array.itemsize):
        raise ValueError(f"its arrays must be numbers and text, one is {array.dtype}")
    check_text(array)
    return array
