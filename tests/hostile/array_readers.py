"""Readers of arrays: MATLAB files, pickles, class embeddings, feature dumps."""

import collections
import io
import os
import pickle
import struct
import subprocess
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from embeddings.class_embeddings import ClassEmbeddings, load_class_embeddings
from evaluation.feature_dumps import Features, read_features
from tests import fake_data
from tests.hostile.archives import ARCHIVES
from tests.hostile.list_readers import (
    check_dataset,
    endless,
    made,
    no_files,
    read_dataset,
    small,
)
from tests.hostile.mutators import BYTES, deflated, opcodes
from tests.hostile.readers import Harm, Reader
from unpickling import load_plain_pickle

VECTORS = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)


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


def _pickles(file: str) -> dict[str, dict[str, Harm]]:
    large = {title: made(file, content) for title, content in _LARGE_PICKLES.items()}
    large["an endless file"] = partial(endless, file)
    return {"crafted": {**no_files(file), **PICKLES}, "large": large}


_PLAIN = {
    "embedding": VECTORS,
    "big endian": np.arange(5, dtype=">i4"),
    "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "text": np.array(["ü", "long"]),
    "bytes": np.array([b"a", b"bc"]),
    "scalar": np.float64(0.25),
    "ind2label": [1, "two", 3.0, None, True, (1, 2), {4}],
    "label2ind": collections.OrderedDict(a=0, b=1),
}


def _check_plain(found: object, valid: object, folder: Path) -> None:
    """Plain data only, wherever one looks."""
    waiting = [found]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            waiting += [*part.keys(), *part.values()]
        elif isinstance(part, list | tuple | set | frozenset):
            waiting += part
        elif isinstance(part, np.ndarray | np.generic):
            assert part.dtype.kind in "biufcSU"
        else:
            assert (
                part is None
                or type(part) in (bool, int, float, complex, str, bytes, bytearray)
                or isinstance(part, np.dtype | type(_PLAIN))
            )
    assert np.zeros(3).tolist() == [0, 0, 0] and np.dtype("f8").isnative  # NumPy is as it was


def _plain(protocol: int) -> Reader:
    return Reader(
        lambda folder: (folder / "a.pickle").write_bytes(pickle.dumps(_PLAIN, protocol)),
        ("a.pickle",),
        lambda folder: load_plain_pickle(folder / "a.pickle"),
        _check_plain,
        (*BYTES, *[opcodes] * 3),
        crafted={k: v for k, v in PICKLES.items() if k not in ("10,000 digits",)},
        **{"large": _pickles("a.pickle")["large"]} if protocol == 4 else {},
    )


def _check_embeddings(found: ClassEmbeddings, valid: ClassEmbeddings, folder: Path) -> None:
    assert found.vectors.ndim == 2 and found.vectors.dtype == np.float32 and found.vectors.size
    assert len(found.vectors) == len(set(map(str, found.labels))) > 0
    assert np.isfinite(found.vectors).all()
    assert all(type(label) in (int, str) for label in found.labels)


def _same_embeddings(found: ClassEmbeddings, valid: ClassEmbeddings, folder: Path) -> None:
    """Of an archive, which has checksums, the vectors that were written; its directory has none."""
    _check_embeddings(found, valid, folder)
    np.testing.assert_array_equal(found.vectors, VECTORS)
    assert found.labels == valid.labels


def _npz(**arrays) -> bytes:
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


def _zeros(*names: str, kind: str = "<f4", shape: tuple = (2**28, 1)) -> bytes:
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


def _archives(*names: str) -> dict[str, Harm]:
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


def _check_features(found: Features, valid: Features, folder: Path) -> None:
    assert len(found.vectors) == len(found.labels) == len(found.names) > 0
    assert found.vectors.dtype == np.float32 and np.isfinite(found.vectors).all()
    assert found.labels.dtype.kind in "iuU" and all(type(name) is str for name in found.names)


def _same_features(found: Features, valid: Features, folder: Path) -> None:
    """Those of an archive, which has checksums; without an entry in its directory, names lack."""
    _check_features(found, valid, folder)
    np.testing.assert_array_equal(found.vectors, VECTORS)
    assert found.labels.tolist() == valid.labels.tolist()
    assert found.names in (valid.names, ("0", "1", "2"))


def _file_reader(
    file: str, content: bytes, read: Callable, check: Callable, *mutators, **more
) -> Reader:
    return Reader(
        lambda folder: (folder / file).write_bytes(content),
        (file,),
        lambda folder: read(folder / file),
        check,
        (*BYTES, *mutators),
        **more,
    )


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


def _mats(file: str) -> dict[str, dict[str, Harm]]:
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


def _dataset(name: str, *files: str, mutators: tuple, harms: dict) -> Reader:
    read = partial(read_dataset, name)
    return Reader(small(name), files, read, check_dataset, mutators, named=(name,), **harms)


_EMBEDDINGS = {"embedding": VECTORS, "ind2label": [3, 1, 7]}
_FEATURES = {"feat": VECTORS, "labels": [3, 1, 7], "names": ["a.jpg", "b.jpg", "ü.jpg"]}
_TEXTS = np.array(["c", "ä", "b"])

READERS = {
    "Cars .mat": _dataset("Cars", "cars_annos.mat", mutators=BYTES, harms=_mats("cars_annos.mat")),
    "Flowers .mat": _dataset(
        "Flowers", "imagelabels.mat", "setid.mat", mutators=BYTES, harms=_mats("imagelabels.mat")
    ),
    "compressed Flowers .mat": Reader(
        fake_data.write_flowers_compressed,
        ("imagelabels.mat", "setid.mat"),
        partial(read_dataset, "Flowers"),
        check_dataset,
        (*BYTES, *[deflated] * 10),
        named=("Flowers",),
    ),
    "CIFAR-10 pickles": _dataset(
        "CIFAR-10",
        *("data_batch_1", "test_batch", "batches.meta"),
        mutators=(*BYTES, *[opcodes] * 3),
        harms=_pickles("data_batch_1"),
    ),
    "CIFAR-100 pickles": _dataset(
        "CIFAR-100",
        *("train", "test", "meta"),
        mutators=(*BYTES, *[opcodes] * 3),
        harms=_pickles("train"),
    ),
    **{f"pickle, protocol {protocol}": _plain(protocol) for protocol in range(6)},
    **{
        f"embeddings .npz, {title}": _file_reader(
            "e.npz",
            content,
            load_class_embeddings,
            _same_embeddings,
            crafted={**no_files("e.npz"), **_archives("embedding", "ind2label")},
            large={
                "zeros of 1 GB": made("e.npz", lambda: _zeros("embedding", "ind2label")),
                "268 million labels": made(
                    "e.npz", lambda: _zeros("embedding", "ind2label", kind="u1")
                ),
                "an endless file": partial(endless, "e.npz"),
            },
        )
        for title, content in {
            "numbers": _npz(embedding=VECTORS, ind2label=np.array([3, 1, 7])),
            "texts": _npz(embedding=VECTORS, ind2label=_TEXTS),
        }.items()
    },
    **{
        f"embeddings .pickle, protocol {protocol}": _file_reader(
            "e.pickle",
            pickle.dumps(_EMBEDDINGS, protocol),
            load_class_embeddings,
            _check_embeddings,
            opcodes,
            **_pickles("e.pickle"),
        )
        for protocol in (0, 2, 4)
    },
    "features .npz": _file_reader(
        "f.npz",
        _npz(features=VECTORS, labels=np.array([3, 1, 7]), names=np.array(_FEATURES["names"])),
        read_features,
        _same_features,
        crafted={**no_files("f.npz"), **_archives("features", "labels")},
        large={
            "zeros of 1 GB": made("f.npz", lambda: _zeros("features", "labels")),
            "268 million names": made(
                "f.npz", lambda: _zeros("features", "labels", "names", kind="u1", shape=(2**26, 1))
            ),
            "20 million images": made(
                "f.npz", lambda: _zeros("features", "labels", kind="u1", shape=(20_000_000, 1))
            ),
            "an endless file": partial(endless, "f.npz"),
        },
    ),
    "embeddings .npz, made anew": Reader(
        lambda folder: (folder / "e.npz").write_bytes(_npz(**_EMBEDDINGS)),
        ("e.npz",),
        lambda folder: load_class_embeddings(folder / "e.npz"),
        _check_embeddings,
        ARCHIVES,
    ),
    "features .npz, made anew": Reader(
        lambda folder: (folder / "f.npz").write_bytes(_npz(features=VECTORS, labels=_TEXTS)),
        ("f.npz",),
        lambda folder: read_features(folder / "f.npz"),
        _check_features,
        ARCHIVES,
    ),
    "features .pickle": _file_reader(
        "f.pickle",
        pickle.dumps(_FEATURES, 4),
        read_features,
        _check_features,
        opcodes,
        **_pickles("f.pickle"),
    ),
}
