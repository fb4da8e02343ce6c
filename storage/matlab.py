"""Safe reading of MATLAB files, which may be damaged or malicious.

SciPy allocates whatever size a file declares, and recurses into nested arrays until the stack
overflows. So all elements of a file are checked before SciPy reads it.
"""

import math
import struct
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from utils import UserError, listing, read_bytes

_LARGEST = 2**28  # unpacked bytes; the annotations of Cars have about 20 MB
_HEADER = 128  # bytes, of which the last two are the byte order
_ORDERS = {b"IM": "<", b"MI": ">"}
_INT8, _INT32, _UINT32, _MATRIX, _COMPRESSED = 1, 5, 6, 14, 15  # types of elements
_OF_NUMBERS = {1, 2, 3, 4, 5, 6, 7, 9, 12, 13}
_OF_TEXT = {1, 2, 4, 16, 17, 18}
_LONGEST_NAME = 64  # bytes, of a field of a structure
_CELL, _STRUCT, _CHAR, _NUMBERS = 1, 2, 4, range(6, 16)  # classes of arrays
_DEEPEST = 8  # levels of nested arrays
_MOST = 2_000_000  # elements; the annotations of Cars have about 700,000


def load_mat(path: Path, *variables: str, optional: str | None = None) -> list[np.ndarray]:
    """Read variables of a MATLAB file, each as a one-dimensional array.

    Args:
        path: the file, of MATLAB 5 to 7.2.
        *variables: required variables.
        optional: a variable that may be missing; it is empty then.

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
    """Return a variable of a MATLAB file as a list of integers.

    Raises:
        UserError: its values are no whole numbers.
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
    except Exception as error:  # SciPy raises anything for damaged files
        raise UserError(f"{path} is not a readable MATLAB file") from error


def _check(content: bytes) -> None:
    """Raise ValueError unless a file has arrays of numbers, text, cells and structures only."""
    order = _ORDERS.get(content[_HEADER - 2 : _HEADER])
    if order is None:
        raise ValueError("it is of another version")
    left, count = _LARGEST, 0
    waiting = [(kind, part, 0) for kind, part in _elements(content[_HEADER:], order)]
    while waiting:
        kind, part, depth = waiting.pop()
        count += 1
        if count > _MOST or depth > _DEEPEST:
            raise ValueError("it has too many arrays")
        if kind == _COMPRESSED and not depth:
            part = _unpacked(part, left)
            left -= len(part)
            waiting += [(kind, inner, depth + 1) for kind, inner in _elements(part, order)]
        elif kind == _MATRIX:
            waiting += [(_MATRIX, inner, depth + 1) for inner in _arrays_in(part, order)]
        else:
            raise ValueError(f"an element of type {kind} in the place of an array")


def _unpacked(part: bytes, limit: int) -> bytes:
    unpacking = zlib.decompressobj()
    content = unpacking.decompress(part, limit)
    if unpacking.unconsumed_tail:
        raise ValueError("its content is far too large")
    return content


def _elements(block: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Yield type and content of each element.

    Raises:
        ValueError: the last one is incomplete.
    """
    start = 0
    while start < len(block):
        kind, size = struct.unpack_from(f"{order}II", block, start)
        if kind >> 16:  # a small element: up to four bytes in the place of the size
            kind, size, begin, length = kind & 0xFFFF, kind >> 16, start + 4, 8
        else:
            begin, length = start + 8, 8 + size + (0 if kind == _COMPRESSED else -size % 8)
        content = block[begin : begin + size]
        if len(content) < size or (begin == start + 4 and size > 4):
            raise ValueError("it is cut off")
        yield kind, content
        start += length


def _arrays_in(part: bytes, order: str) -> list[bytes]:
    """Return the arrays within an array, after checking the types and number of its elements.

    SciPy checks neither, and crashes on damaged files.
    """
    if not part:
        return []
    elements = list(_elements(part, order))
    if [kind for kind, _ in elements[:3]] != [_UINT32, _INT32, _INT8] or len(elements[0][1]) != 8:
        raise ValueError("an array is damaged")
    flags = struct.unpack(f"{order}II", elements[0][1])[0]
    lengths = elements[1][1]
    shape = struct.unpack(f"{order}{len(lengths) // 4}i", lengths[: len(lengths) // 4 * 4])
    count = math.prod(shape)
    if len(shape) < 2 or min(shape) < 0 or count > len(part):
        raise ValueError("an array is far larger than the file")
    is_complex = flags >> 11 & 1
    return _content_of(flags & 0xFF, elements[3:], count, 1 + is_complex, order)


def _content_of(
    kind: int, elements: list[tuple[int, bytes]], count: int, parts: int, order: str
) -> list[bytes]:
    types = [one for one, _ in elements]
    if kind in _NUMBERS and len(elements) == parts and set(types) <= _OF_NUMBERS:
        return []
    if kind == _CHAR and len(elements) == 1 and set(types) <= _OF_TEXT:
        return []
    if kind == _STRUCT and types[:2] == [_INT32, _INT8] and len(elements[0][1]) == 4:
        length, names = struct.unpack(f"{order}i", elements[0][1])[0], elements[1][1]
        if not 0 < length <= _LONGEST_NAME:
            raise ValueError("the names of a structure are damaged")
        count *= len(names) // length
        elements = elements[2:]
    elif kind != _CELL:
        raise ValueError(f"an array of class {kind} is damaged, or is not known here")
    if len(elements) != count or {one for one, _ in elements} - {_MATRIX}:
        raise ValueError("an array has more or fewer parts than it says")
    return [content for _, content in elements]
