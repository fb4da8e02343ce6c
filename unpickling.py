"""Reads pickles of plain data without running code that the file brings along."""

import collections
import pickle
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy._core import multiarray

from npz import check_text
from utils import UserError


class _ForbiddenGlobal(Exception):
    """A pickle asks for something that is not on the list below."""


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """Stands in for ``_codecs.encode``, by which old protocols write bytes: Latin-1 only."""
    if encoding not in ("latin1", b"latin1", "latin-1"):
        raise pickle.UnpicklingError(f"bytes written in {encoding!r}")
    return text.encode("latin1")


def _empty_bytes() -> bytes:
    """Stands in for ``bytes``: old protocols write an empty string as a call without arguments."""
    return b""


_NDARRAY = "numpy.ndarray"
"""Stands in for the class: as such it could be called, with any piece of memory as its content."""


def _empty_array(kind: str, shape: tuple, dtype: bytes | str) -> np.ndarray:
    """Stands in for NumPy's ``_reconstruct``: the array's state follows in the file."""
    if kind is not _NDARRAY:
        raise pickle.UnpicklingError("an array of an unknown kind")
    return np.empty(0, np.uint8)


def _dtype(spec, align=False, copy=False) -> np.dtype:
    """Stands in for ``numpy.dtype``: old files pass the flags as 0 and 1, NumPy wants booleans.

    Arrays of objects are refused: their bytes would be taken for addresses. A type is always a
    new one, since the state that follows would change that of all arrays in the process.
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
    """Stands in for NumPy's ``_frombuffer``: an array's memory would vanish with its next state."""
    if not isinstance(buffer, bytes | bytearray) or not isinstance(dtype, np.dtype):
        raise pickle.UnpicklingError("an array without content")
    array = np.frombuffer(buffer, dtype).reshape(shape, order=order)
    check_text(array)
    return array


def _scalar(dtype: np.dtype, content: bytes | str):
    """Stands in for NumPy's ``scalar``; ``content`` is text if Python 2 wrote it."""
    content = content.encode("latin1") if isinstance(content, str) else content
    check_text(np.frombuffer(content, dtype))
    return multiarray.scalar(dtype, content)


def _default_dict(factory: None = None) -> dict:
    """Stands in for ``defaultdict``, without the callable for missing keys."""
    return {}


# Looked up, never imported: a name that is not here cannot be reached. NumPy 2 renamed its
# private package, Python 3 its built-ins.
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
    """The unpickler in Python: the one in C hands any state in the file to any object."""

    dispatch: ClassVar[dict] = dict(pickle._Unpickler.dispatch)

    def find_class(self, module: str, name: str):
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise _ForbiddenGlobal(f"{module}.{name}") from None

    def load_build(self) -> None:
        """Sets the state of the last object."""
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, np.dtype):
            state = _dtype_state(target, state)
        elif not isinstance(target, np.ndarray):
            raise pickle.UnpicklingError(f"a state for {type(target).__name__}")
        target.__setstate__(state)
        if isinstance(target, np.ndarray):
            check_text(target)

    def load_bytearray8(self) -> None:
        """Reads as many bytes as the file has; the original first sets aside what it claims."""
        size = int.from_bytes(self.read(8), "little")
        content = bytearray(self.read(size))
        if len(content) < size:
            raise pickle.UnpicklingError("truncated bytes")
        self.append(content)

    dispatch[pickle.BUILD[0]] = load_build
    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray8


def _dtype_state(dtype: np.dtype, state: tuple) -> tuple:
    """Lets a file set nothing but the byte order: NumPy crashes with other sizes and flags."""
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
    """The content of a pickle that holds nothing but NumPy arrays, numbers, text and containers.

    Args:
        path: the file, written by any version of Python 2 or 3.
        encoding: how the byte strings of Python 2 are read: ``"bytes"`` leaves them as they are,
            ``"latin1"`` makes text of them, one character per byte.

    Raises:
        UserError: the file cannot be read, is damaged, or asks for anything else than the above,
            e.g. for a function to be called.
    """
    try:
        with open(path, "rb") as file:
            return _PlainUnpickler(file, encoding=encoding).load()
    except _ForbiddenGlobal as error:
        raise UserError(
            f"{path} is refused: it asks for {error}, which is not plain data"
        ) from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except Exception as error:  # a damaged pickle may raise anything, and only that is meant here
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path} is not a complete pickle file: {reason}") from error
