"""MATLAB files that would do harm."""

import struct
import zlib
from functools import partial
from pathlib import Path

import numpy as np

from tests.hostile.file_harms import endless, made, no_files
from tests.hostile.readers import Harm


def _element(kind: int, content: bytes) -> bytes:
    return struct.pack("<II", kind, len(content)) + content + bytes(-len(content) % 8)


def _mat(*elements: bytes) -> bytes:
    return b"MATLAB 5.0".ljust(124) + b"\0\1IM" + b"".join(elements)


def _mat_array(kind: int, shape: tuple[int, ...], *parts: bytes, name: bytes = b"labels") -> bytes:
    flags = _element(6, struct.pack("<II", kind, 0))
    lengths = _element(5, struct.pack(f"<{len(shape)}i", *shape))
    return _element(14, flags + lengths + _element(1, name) + b"".join(parts))


def _nested(levels: int) -> bytes:
    """Cells within cells, written from the inside out without copying what is inside."""
    inner = _mat_array(9, (1, 1), _element(9, bytes(8)), name=b"")
    heads, size = [], len(inner)
    for level in range(levels):
        name = b"labels" if level == levels - 1 else b""
        head = _mat_array(1, (1, 1), name=name)[8:]
        size += len(head)
        heads.append(struct.pack("<II", 14, size) + head)
        size += 8
    return _mat(b"".join(reversed(heads)) + inner)


def _hdf5(file: str, folder: Path) -> None:
    import h5py

    (folder / file).unlink()
    with h5py.File(folder / file, "w", userblock_size=512) as content:
        content["labels"] = content["annotations"] = np.arange(3)


def mat_harms(file: str) -> dict[str, dict[str, Harm]]:
    """All of them in the place of the file."""
    crafted: dict[str, Harm] = {
        **no_files(file),
        "version 7.3": partial(_hdf5, file),
        "version 4": struct.pack("<5i", 0, 2**31 - 1, 2**31 - 1, 0, 7) + b"labels\0",
        "2**62 cells": _mat(_mat_array(1, (2**31 - 1, 2**31 - 1))),
        "2**31 numbers": _mat(_mat_array(9, (1, 2**31 - 1), _element(9, bytes(8)))),
        "a negative shape": _mat(_mat_array(6, (-1, -1), _element(9, bytes(8)))),
        "an object": _mat(_mat_array(17, (1, 1), _element(14, b""))),
        "a function": _mat(_mat_array(16, (1, 1), _element(14, b""))),
        "a sparse array": _mat(_mat_array(5, (10**6, 10**6), _element(5, bytes(8)))),
        "100,000 levels": _nested(100_000),
        "longer than the file": _mat(struct.pack("<II", 14, 2**32 - 1) + bytes(100)),
        "compressed twice": _mat(
            _element(15, zlib.compress(_element(15, zlib.compress(b"a" * 64))))
        ),
    }
    large: dict[str, Harm] = {
        "an endless file": partial(endless, file),
        "a bomb": made(file, lambda: _mat(_element(15, zlib.compress(bytes(2**28 + 2**20))))),
        "a million empty cells": made(
            file, lambda: _mat(_mat_array(1, (10**6, 1), _element(14, b"") * 10**6))
        ),
    }
    return {"crafted": crafted, "large": large}
