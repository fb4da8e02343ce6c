"""Safe unpickling of plain data: no code in the file is executed.

Kilobytes of a pickle can also ask for terabytes, by copying one part over and over or by lists of
lists of lists that are all the same. So the bytes copied by calls and the size of the unfolded
content are limited.
"""

import collections
import os
import pickle
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy._core import multiarray

from storage.npz import check_text
from utils import UserError, open_regular

_FREE = 2**24  # bytes that calls may copy in any file, however small
_COPIES = 8  # bytes that they may copy for each byte of a larger file
_DEEPEST = 50  # levels of nested containers
_STEPS = 2**23  # weighted opcodes in a file; names and labels of a million images take 4e6
# Weights of opcodes that create a container or remember an object (default: 1).
_COSTS = {**dict.fromkeys(b"(])}\x8f\x91tld\x85\x86\x87", 4), 0x94: 2}


class _ForbiddenGlobal(Exception):
    """A pickle asks for a global that ``_ALLOWED`` lacks."""


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """Replace ``_codecs.encode``, with which old protocols write bytes: Latin-1 only."""
    if encoding not in ("latin1", b"latin1", "latin-1"):
        raise pickle.UnpicklingError(f"bytes written in {encoding!r}")
    return text.encode("latin1")


def _empty_bytes() -> bytes:
    """Replace ``bytes``: old protocols write an empty string as a call without arguments."""
    return b""


_NDARRAY = "numpy.ndarray"
"""Replaces the class itself, which could be called to wrap any memory."""


def _empty_array(kind: str, shape: tuple, dtype: bytes | str) -> np.ndarray:
    """Replace NumPy's ``_reconstruct``: the array's state follows in the file."""
    if kind is not _NDARRAY:
        raise pickle.UnpicklingError("an array of an unknown kind")
    return np.empty(0, np.uint8)


def _dtype(spec, align=False, copy=False) -> np.dtype:
    """Replace ``numpy.dtype``: old files pass the flags as 0 and 1, NumPy wants booleans.

    Arrays of objects are refused: their bytes would be taken for addresses. The type is always
    copied, since the state that follows would change NumPy's own.
    """
    if not isinstance(spec, str | bytes):
        raise pickle.UnpicklingError("an array of an unknown type")
    dtype = np.dtype(spec, bool(align), True)
    if dtype.hasobject:
        raise _ForbiddenGlobal("an array of Python objects")
    if dtype.kind not in "biufcSU":
        raise _ForbiddenGlobal(f"an array of {dtype}")
    return dtype


def _from_buffer(buffer: bytes | bytearray, dtype: np.dtype, shape: tuple, order: str):
    """Replace NumPy's ``_frombuffer``: an array's memory would vanish with its next state."""
    if not isinstance(buffer, bytes | bytearray) or not isinstance(dtype, np.dtype):
        raise pickle.UnpicklingError("an array without content")
    array = np.frombuffer(buffer, dtype).reshape(shape, order=order)
    check_text(array)
    return array


def _scalar(dtype: np.dtype, content: bytes | str):
    """Replace NumPy's ``scalar``; ``content`` is text if Python 2 wrote it."""
    content = content.encode("latin1") if isinstance(content, str) else content
    check_text(np.frombuffer(content, dtype))
    return multiarray.scalar(dtype, content)


def _default_dict(factory: None = None) -> dict:
    """Replace ``defaultdict``, without the callable for missing keys."""
    return {}


# Globals are looked up here, never imported. NumPy 2 renamed its private package, Python 3 its
# built-ins.
_ALLOWED = {
    **{
        (f"numpy.{core}.{module}", name): function
        for core in ("core", "_core")
        for module, name, function in (
            ("multiarray", "_reconstruct", _empty_array),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _from_buffer),
        )
    },
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _dtype,
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("collections", "defaultdict"): _default_dict,
    **{
        (builtins, name): kind
        for builtins in ("builtins", "__builtin__")
        for name, kind in (("set", set), ("frozenset", frozenset), ("bytes", _empty_bytes))
    },
}


class _PlainUnpickler(pickle._Unpickler):
    """The unpickler in Python; the one in C lets the file set the state of any object.

    Args:
        file: the pickle.
        encoding: see ``load_plain_pickle``.
        budget: bytes that all calls together may copy.
    """

    dispatch: ClassVar[dict] = dict(pickle._Unpickler.dispatch)

    def __init__(self, file, encoding: str, budget: int):
        super().__init__(file, encoding=encoding)
        self._budget = budget
        self.dispatch = _Counted(type(self).dispatch)

    def find_class(self, module: str, name: str):
        try:
            found = _ALLOWED[module, name]
        except KeyError:
            raise _ForbiddenGlobal(f"{module}.{name}") from None
        return self._paid(found) if callable(found) else found

    def _paid(self, function: Callable) -> Callable:
        """Wrap a function to charge the size of its arguments."""

        @wraps(function, updated=())
        def call(*arguments):
            self._pay(arguments)
            return function(*arguments)

        return call

    def _pay(self, parts: Iterable) -> None:
        self._budget -= sum(_bytes_in(part) for part in parts)
        if self._budget < 0:
            raise pickle.UnpicklingError("it copies its content far too often")

    def load_build(self) -> None:
        """Set the state of the last object."""
        state, target = self.stack.pop(), self.stack[-1]
        self._pay(state)
        if isinstance(target, np.dtype):
            state = _dtype_state(target, state)
        elif not isinstance(target, np.ndarray):
            raise pickle.UnpicklingError(f"a state for {type(target).__name__}")
        target.__setstate__(state)
        if isinstance(target, np.ndarray):
            if target.size and not target.itemsize:
                raise pickle.UnpicklingError("an array without content")
            check_text(target)

    def load_bytearray8(self) -> None:
        """Read as many bytes as the file has; the original first allocates what it claims."""
        size = int.from_bytes(self.read(8), "little")
        content = bytearray(self.read(size))
        if len(content) < size:
            raise pickle.UnpicklingError("truncated bytes")
        self.append(content)

    dispatch[pickle.BUILD[0]] = load_build
    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray8


class _Counted(dict):
    """The functions of the opcodes; looking up too many of them fails."""

    left = _STEPS

    def __getitem__(self, code: int) -> Callable:
        self.left -= _COSTS.get(code, 1)
        if self.left < 0:
            raise pickle.UnpicklingError(f"it has more than {_STEPS:,} parts")
        return super().__getitem__(code)


def _bytes_in(part: object) -> int:
    """Estimate the size of a copy of an argument; 0 for numbers and arrays."""
    if isinstance(part, str | bytes | bytearray):
        return len(part)
    if isinstance(part, list | tuple | dict | set | frozenset):
        return 64 * len(part)
    return 0


def _dtype_state(dtype: np.dtype, state: tuple) -> tuple:
    """Keep nothing of a state but the byte order: NumPy crashes with other sizes and flags."""
    _version, order, subarray, names, fields, itemsize, alignment, flags = state
    if (
        any(part is not None for part in (subarray, names, fields))
        or itemsize not in (-1, dtype.itemsize)
        or alignment not in (-1, dtype.alignment)
        or flags not in (0, dtype.flags)
    ):
        raise pickle.UnpicklingError("a damaged type of an array")
    return 3, order, None, None, None, dtype.itemsize, dtype.alignment, dtype.flags


def load_plain_pickle(path: str | Path, encoding: str = "latin1"):
    """Load a pickle of NumPy arrays, numbers, text and containers.

    Args:
        path: the file, written by any version of Python 2 or 3.
        encoding: of byte strings of Python 2: ``"bytes"`` keeps bytes, ``"latin1"`` makes text with
            one character per byte.

    Raises:
        UserError: the file cannot be read, is damaged, or asks for anything else, e.g. for a
            function to be called.
    """
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            content = _PlainUnpickler(file, encoding, max(_FREE, _COPIES * size)).load()
        _check_unfolded(content, max(_FREE // 64, _COPIES * size))
        return content
    except _ForbiddenGlobal as error:
        raise UserError(
            f"{path} is refused: it asks for {error}, which is not plain data"
        ) from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except Exception as error:  # damaged pickles may raise anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path} is not a complete pickle file: {reason}") from error


def _check_unfolded(content: object, limit: int) -> None:
    """Refuse content that is no finite tree of plain data.

    Args:
        content: of a pickle.
        limit: of the number of parts, where parts that occur twice count twice.

    Raises:
        UnpicklingError: there are more parts, a container contains itself, nesting is too deep, or
            a part is a function (damage can leave one that the file meant to call) or a view.
    """
    if _is_no_data(content):
        raise pickle.UnpicklingError("a function or a view instead of data")
    counts: dict[int, int] = {}  # parts of each container by its id; 0 while that is being counted
    waiting = [(content, False)]
    depth = 0
    while waiting:
        part, counted = waiting.pop()
        inner = _containers_in(part)
        if counted:
            depth -= 1
            counts[id(part)] = 1 + _length(part) + sum(counts[id(one)] for one in inner)
            if counts[id(part)] > limit:
                raise pickle.UnpicklingError("it unfolds to far more than it has")
        elif id(part) not in counts:
            depth += 1
            if depth > _DEEPEST:
                raise pickle.UnpicklingError("it is nested too deeply")
            counts[id(part)] = 0
            waiting.append((part, True))
            waiting += [(one, False) for one in inner]
        elif not counts[id(part)]:
            raise pickle.UnpicklingError("it contains itself")


def _is_no_data(part: object) -> bool:
    return callable(part) or isinstance(part, memoryview)


def _containers_in(part: object) -> list:
    if isinstance(part, Mapping):
        parts = [*part.keys(), *part.values()]
    elif isinstance(part, list | tuple | set | frozenset):
        parts = part
    else:
        return []
    if any(map(_is_no_data, parts)):
        raise pickle.UnpicklingError("a function or a view instead of data")
    return [one for one in parts if isinstance(one, Mapping | list | tuple | set | frozenset)]


def _length(part: object) -> int:
    return len(part) if isinstance(part, Mapping | list | tuple | set | frozenset) else 0
