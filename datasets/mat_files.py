"""Reads MATLAB files that may be damaged or made to do harm.

SciPy sets aside whatever a file declares, and calls itself for each array within an array until the
process dies. So the elements of a file are walked through before SciPy gets it.
"""

import itertools
import math
import struct
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from datasets.base import listing
from utils import UserError, read_bytes

_LARGEST = 2**28  # bytes, unpacked; the annotations of Cars have about 20 MB
_HEADER = 128  # bytes, the last two of which tell the byte order
_ORDERS = {b"IM": "<", b"MI": ">"}
_MATRIX, _COMPRESSED = 14, 15  # types of elements
_CELL, _STRUCT, _CHAR, _NUMBERS = 1, 2, 4, range(6, 16)  # classes of arrays
_DEEPEST = 8  # arrays within arrays
_MOST = 2_000_000  # elements; the annotations of Cars have about 700,000


def load_mat(path: Path, *variables: str, optional: str | None = None) -> list[np.ndarray]:
    """Reads variables of a MATLAB file, each as a one-dimensional array.

    Args:
        path: the file, of MATLAB 5 to 7.2.
        *variables: that it has to have.
        optional: one that it may lack; it is empty then.

    Raises:
        UserError: the file is missing or damaged, or lacks a variable.
    """
    names = [*variables, *([optional] if optional else [])]
    content = _content(path, names)
    missing = [name for name in variables if name not in content]
    if missing:
        raise UserError(f"{path} has no variable {listing(missing)}")
    return [np.atleast_1d(content.get(name, ())) for name in names]


def whole_numbers(path: Path, name: str, values: np.ndarray) -> list[int]:
    """The numbers in a variable of a MATLAB file.

    Raises:
        UserError: it holds something else.
    """
    values = np.asarray(values)
    if values.ndim != 1 or values.dtype.kind not in "iuf":
        raise UserError(f"{path}: {name} is no list of whole numbers")
    if values.dtype.kind == "f" and not (np.isfinite(values) & (values == np.round(values))).all():
        raise UserError(f"{path}: {name} is no list of whole numbers")
    return [int(value) for value in values]


def _content(path: Path, names: list[str]) -> dict:
    from scipy.io import loadmat

    try:
        content = read_bytes(path, _LARGEST)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    try:
        _check(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about variables that occur twice
            return loadmat(path, squeeze_me=True, variable_names=names)
    except Exception as error:  # SciPy documents no exceptions for damaged files
        raise UserError(f"{path} is not a readable MATLAB file") from error


def _check(content: bytes) -> None:
    """Raises ValueError unless a file has arrays of numbers, text, cells and structures only."""
    order = _ORDERS.get(content[_HEADER - 2 : _HEADER])
    if order is None:
        raise ValueError("it is of another version")
    left = _LARGEST
    count = 0
    waiting = [(content[_HEADER:], 0)]
    while waiting:
        block, depth = waiting.pop()
        for kind, part in _elements(block, order):
            count += 1
            if count > _MOST or depth > _DEEPEST:
                raise ValueError("it has too many arrays")
            if kind == _COMPRESSED:
                if depth:
                    raise ValueError("it is compressed twice")
                part = _unpacked(part, left)
                left -= len(part)
                waiting.append((part, depth + 1))
            elif kind == _MATRIX:
                _check_array(part, order)
                waiting.append((part, depth + 1))


def _unpacked(part: bytes, limit: int) -> bytes:
    unpacking = zlib.decompressobj()
    content = unpacking.decompress(part, limit)
    if unpacking.unconsumed_tail:
        raise ValueError("its content is far too large")
    return content


def _elements(block: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Type and content of each element; of the last one what there is."""
    start = 0
    while start + 8 <= len(block):
        kind, size = struct.unpack_from(f"{order}II", block, start)
        if kind >> 16:  # up to four bytes, which stand in the place of the size
            yield kind & 0xFFFF, block[start + 4 : start + 4 + min(4, kind >> 16)]
            start += 8
            continue
        yield kind, block[start + 8 : start + 8 + size]
        start += 8 + size + (0 if kind == _COMPRESSED else -size % 8)


def _check_array(part: bytes, order: str) -> None:
    """Makes sure that an array is of a known class, and is not larger than what is there for it."""
    if not part:
        return
    (_, flags), (_, lengths) = itertools.islice(_elements(part, order), 2)
    kind = struct.unpack_from(f"{order}I", flags)[0] & 0xFF
    if kind not in (_CELL, _STRUCT, _CHAR, *_NUMBERS):
        raise ValueError(f"it has an array of class {kind}")
    count = math.prod(struct.unpack(f"{order}{len(lengths) // 4}i", lengths))
    if not 0 <= count <= len(part):
        raise ValueError("an array is far larger than the file")
