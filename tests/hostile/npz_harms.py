"""NumPy archives, among them some that would do harm."""

import io
import os
import pickle
import struct
import zipfile

import numpy as np

from tests.hostile.pickle_harms import Call
from tests.hostile.readers import Harm


def npz(**arrays) -> bytes:
    """An archive with these arrays."""
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def _member(header: str, content: bytes = b"") -> bytes:
    text = header.encode("latin1")
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + content


def _archive(content: bytes, *names: str, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name in names:
            archive.writestr(f"{name}.npy", content)
    return file.getvalue()


def _header(kind: str, shape: tuple) -> str:
    return f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape!r}, }}\n"


def zeros(*names: str, kind: str = "<f4", shape: tuple = (2**28, 1)) -> bytes:
    """Arrays of zeros, compressed to a thousandth; made without having them in memory."""
    file = io.BytesIO()
    size = int(np.prod(shape)) * np.dtype(kind).itemsize
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name in names:
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                member.write(_member(_header(kind, shape)))
                for _ in range(size // 2**24):
                    member.write(bytes(2**24))
                member.write(bytes(size % 2**24))
    return file.getvalue()


def crafted_npz(*names: str) -> dict[str, Harm]:
    """Archives that would do harm, of arrays with these names."""
    one = names[0]
    return {
        "declares 8 PB": _archive(_member(_header("<f8", (10**15,)), bytes(8)), *names),
        "a negative shape": _archive(_member(_header("<f8", (-1, -1)), bytes(8)), *names),
        "text without letters": _archive(_member(_header("<U0", (10**15,))), *names),
        "objects": _archive(_member(_header("|O", (1,)), b"cos\nsystem\n."), *names),
        "code in a header": _archive(_member("__import__('os').system('touch executed')"), *names),
        "brackets in a header": _archive(_member("(" * 9000), *names),
        "another compression": _archive(b"", *names, method=zipfile.ZIP_LZMA),
        "nothing": _archive(b""),
        "only one array": _archive(_member(_header("<f8", (1, 1)), bytes(8)), one),
        "a pickle in its place": pickle.dumps(Call(os.system, "touch executed")),
    }
