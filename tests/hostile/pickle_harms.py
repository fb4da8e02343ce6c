"""Pickles that would do harm."""

import collections
import os
import pickle
import struct
import subprocess
from collections.abc import Callable
from functools import partial

import numpy as np

from tests.hostile.file_harms import endless, made, no_files
from tests.hostile.readers import Harm


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function: Callable, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def _laughs(levels: int = 40, width: int = 10) -> list:
    """A list of lists of lists, each many times the same."""
    content = [1]
    for _ in range(levels):
        content = [content] * width
    return content


def _copies(text: str, times: int) -> list:
    return [text, *[Call(__import__("_codecs").encode, text, "latin1") for _ in range(times)]]


def _states(size: int, times: int) -> bytes:
    """A pickle that makes many arrays of the same bytes."""
    head = b"\x80\x02(B" + struct.pack("<I", size) + bytes(size) + b"q\0"
    one = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85U\x01b\x87R(K\x01"
        b"J" + struct.pack("<I", size) + b"\x85cnumpy\ndtype\nU\x02u1K\0K\x01\x87R\x89h\0tb"
    )
    return head + one * times + b"l."


def _deep(levels: int) -> bytes:
    return b"\x80\x02" + b"]" * levels + b"a" * (levels - 1) + b"."


PICKLES: dict[str, Harm] = {
    "a system call": pickle.dumps({"data": Call(os.system, "touch executed")}),
    "a system call, in text": pickle.dumps(Call(os.system, "touch executed"), 0),
    "eval": pickle.dumps([Call(eval, "open('executed', 'w')")]),
    "exec in a state": b"\x80\x02c__builtin__\nexec\nU\x13open('executed','w')\x85R.",
    "a process": pickle.dumps(Call(subprocess.Popen, ["touch", "executed"])),
    "an import": b"\x80\x02cos\nsystem\nU\x0etouch executed\x85R.",
    "an instance": b"(S'touch executed'\nios\nsystem\n.",
    "a class": b"(cos\nsystem\nS'touch executed'\no.",
    "a dotted name": b"\x80\x04\x8c\x05numpy\x8c\x0dndarray.tofile\x93.",
    "NumPy's own loader": pickle.dumps(Call(np.load, "executed")),
    "a memory map": pickle.dumps(Call(np.memmap, "executed", "u1", "w+", 0, (10,))),
    "getattr": pickle.dumps(Call(getattr, "", "format")),
    "an extension": b"\x80\x02\x82\x01.",
    "a persistent name": b"\x80\x02X\x01\0\0\0aQ.",
    "arrays of objects": pickle.dumps(np.array([{}], dtype=object)),
    "a list that laughs": pickle.dumps(_laughs()),
    "a dictionary that laughs": pickle.dumps({"embedding": _laughs(), "ind2label": [1]}),
    "tuples that laugh": pickle.dumps({"feat": tuple([tuple(_laughs(7))] * 9), "labels": [1]}),
    "copies of a text": pickle.dumps(_copies("a" * 1_000_000, 3000), 2),
    "copies of an array": _states(1_000_000, 3000),
    "10,000 levels": _deep(10_000),
    "itself": b"\x80\x02]q\0h\0a.",
    "a long number": b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"1.",
    "a negative length": b"\x80\x02\x8b" + struct.pack("<i", -1) + b"1.",
    "a long frame": b"\x80\x04\x95" + struct.pack("<Q", 2**63 - 1) + b"].",
    "long bytes": b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"a.",
    "a long text": b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b"a.",
    "long memory": b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"a.",
    "10,000 digits": b"I" + b"9" * 10_000 + b"\n.",
    "texts without letters": pickle.dumps(np.zeros(3, "U1"))[:-20].replace(b"U1", b"U0") + b".",
    "only marks": b"(" * 100_000 + b".",
    "a default": pickle.dumps(collections.defaultdict(list)),
}
_LARGE_PICKLES: dict[str, Callable[[], bytes]] = {
    "20 million sets": lambda: b"\x80\x04(" + b"\x8f" * 20_000_000 + b"l.",
    "20 million lists": lambda: b"\x80\x04(" + b"]" * 20_000_000 + b"l.",
    "a million levels": lambda: _deep(1_000_000),
    "20 million places": lambda: b"\x80\x04]" + b"\x94" * 20_000_000 + b".",
    "many wide texts": lambda: pickle.dumps(
        {"feat": [["x" * 1_000_000] * 1000] * 500, "labels": [1]}
    ),
    "many long labels": lambda: pickle.dumps(
        {"feat": np.zeros((10**5, 1), "f4"), "labels": ["x" * 1_000_000, *"a" * (10**5 - 1)]}
    ),
    "many equal vectors": lambda: pickle.dumps(
        {"feat": [np.zeros(10**5)] * 10**5, "labels": list(range(10**5))}
    ),
}


def pickle_harms(file: str) -> dict[str, dict[str, Harm]]:
    """All of them in the place of the file."""
    large = {title: made(file, content) for title, content in _LARGE_PICKLES.items()}
    large["an endless file"] = partial(endless, file)
    return {"crafted": {**no_files(file), **PICKLES}, "large": large}
