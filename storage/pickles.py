"""Unpickle plain data (numbers, text, containers, NumPy arrays) without executing foreign code.

A pickle is a program that calls functions by name. Here, names are limited to the few functions
below, which only create plain data. ``storage.rehearsal`` limits memory and time.
"""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy._core import multiarray

from storage.npz import check_text
from utils import UserError, one_line, open_regular


class _ForbiddenGlobal(Exception):
    """A pickle asks for a global that is not in ``_ALLOWED``."""


class _Function(NamedTuple):
    """A function that a pickle may call, but whose attributes it cannot change."""

    function: Callable

    def __call__(self, *arguments):
        return self.function(*arguments)


class _Type:
    """The type of an array; an invalid state of ``numpy.dtype`` itself can crash NumPy.

    See https://github.com/numpy/numpy/issues/30476. Arrays of objects are refused, since their
    bytes would be taken as addresses.
    """

    __slots__ = ("dtype",)

    def __init__(self, spec: bytes | str, align: bool = False, copy: bool = False):
        if not isinstance(spec, str | bytes):
            raise pickle.UnpicklingError("an array of an unknown type")
        self.dtype = np.dtype(spec)
        if self.dtype.hasobject:
            raise _ForbiddenGlobal("an array of Python objects")
        if self.dtype.kind not in "biufcSU":
            raise _ForbiddenGlobal(f"an array of {self.dtype}")

    def __setstate__(self, state: tuple) -> None:
        """Use only the byte order of a state, the only part that can differ."""
        self.dtype = self.dtype.newbyteorder(state[1])


class _Array(np.ndarray):
    """An array that only accepts the state of an array of numbers or text."""

    __slots__ = ()

    def __setstate__(self, state: tuple) -> None:
        version, shape, kind, in_columns, content = state
        super().__setstate__((version, shape, _dtype(kind), bool(in_columns), content))
        if self.size and not self.itemsize:
            raise pickle.UnpicklingError("an array without content")
        check_text(self)


def _dtype(kind: _Type) -> np.dtype:
    if not isinstance(kind, _Type):
        raise pickle.UnpicklingError("an array of an unknown type")
    return kind.dtype


def _empty_array(kind: str, shape: tuple, dtype: bytes | str) -> np.ndarray:
    """Replace NumPy's ``_reconstruct``: the array's state follows in the file."""
    if kind != _NDARRAY:
        raise pickle.UnpicklingError("an array of an unknown kind")
    return np.empty(0, np.uint8).view(_Array)


def _from_buffer(buffer: bytes | bytearray, kind: _Type, shape: tuple, order: str) -> np.ndarray:
    """Replace NumPy's ``_frombuffer``."""
    if not isinstance(buffer, bytes | bytearray):
        raise pickle.UnpicklingError("an array without content")
    array = np.frombuffer(buffer, _dtype(kind)).reshape(shape, order=order)
    check_text(array)
    return array


def _scalar(kind: _Type, content: bytes | str) -> np.generic:
    """Replace NumPy's ``scalar``; ``content`` is text if Python 2 wrote it."""
    content = content.encode("latin1") if isinstance(content, str) else content
    check_text(np.frombuffer(content, _dtype(kind)))
    return multiarray.scalar(_dtype(kind), content)


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """Replace ``_codecs.encode``, which old protocols use for bytes: Latin-1 only."""
    if encoding not in ("latin1", b"latin1", "latin-1"):
        raise pickle.UnpicklingError(f"bytes written in {encoding!r}")
    return text.encode("latin1")


def _default_dict(factory: None = None) -> dict:
    """Replace ``defaultdict``, without the callable for missing keys."""
    return {}


_NDARRAY = "numpy.ndarray"
"""Replaces the class itself, which could be called to wrap any memory."""

# NumPy 2 renamed its private package, Python 3 its built-ins.
_CORES, _BUILTINS = ("numpy.core", "numpy._core"), ("builtins", "__builtin__")
_ALLOWED = {
    **{(f"{core}.multiarray", "_reconstruct"): _Function(_empty_array) for core in _CORES},
    **{(f"{core}.multiarray", "scalar"): _Function(_scalar) for core in _CORES},
    **{(f"{core}.numeric", "_frombuffer"): _Function(_from_buffer) for core in _CORES},
    **{(module, "set"): _Function(set) for module in _BUILTINS},
    **{(module, "frozenset"): _Function(frozenset) for module in _BUILTINS},
    **{(module, "bytes"): _Function(bytes) for module in _BUILTINS},  # how old protocols write b""
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _Function(_Type),
    ("_codecs", "encode"): _Function(_encode),
    ("collections", "OrderedDict"): _Function(dict),  # an instance's methods could be replaced
    ("collections", "defaultdict"): _Function(_default_dict),
}


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> _Function | str:
        """Look up a global; nothing is imported."""
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise _ForbiddenGlobal(f"{module}.{name}") from None


def load_plain_pickle(path: str | Path, encoding: str = "latin1"):
    """Load a pickle of NumPy arrays, numbers, text and containers.

    Containers in a crafted file may contain themselves, so that walking through them never ends,
    and objects of this module may take the place of data: callers check types and are rehearsed.

    Args:
        path: the file, written by any version of Python 2 or 3.
        encoding: for byte strings of Python 2: ``"bytes"`` keeps them, ``"latin1"`` decodes them to
            one character per byte.

    Raises:
        UserError: the file cannot be read, is damaged, or asks for anything else, such as a
            function call.
    """
    try:
        with open_regular(path) as file:
            return _PlainUnpickler(file, encoding=encoding).load()
    except _ForbiddenGlobal as error:
        raise UserError(
            f"{path} is refused: it asks for {error}, which is not plain data"
        ) from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except Exception as error:  # damaged pickles may raise anything
        raise UserError(f"{path} is not a complete pickle file: {one_line(error)}") from error
